"""Distances on a sphere, and the box of coordinates around a circle on it."""

from dataclasses import dataclass
from math import asin, cos, degrees, pi, radians, sin, sqrt

EARTH_RADIUS_KM = 6371.0088  # the mean radius, of the IUGG


def distance_km(latitude1: float, longitude1: float, latitude2: float, longitude2: float) -> float:
    """The great-circle distance, by the haversine formula."""
    phi1, phi2 = radians(latitude1), radians(latitude2)
    across = sin((phi2 - phi1) / 2) ** 2
    along = sin(radians(longitude2 - longitude1) / 2) ** 2
    # Rounding can lift the sum a little over 1 for antipodes.
    return 2 * EARTH_RADIUS_KM * asin(sqrt(min(1.0, across + cos(phi1) * cos(phi2) * along)))


@dataclass(frozen=True, slots=True)
class Box:
    south: float
    north: float
    # Two spans where the circle crosses the antimeridian.
    longitudes: tuple[tuple[float, float], ...]


def bounding_box(latitude: float, longitude: float, radius_km: float) -> Box:
    """The smallest box that holds every point within `radius_km`."""
    angle = radius_km / EARTH_RADIUS_KM
    south, north = latitude - degrees(angle), latitude + degrees(angle)
    if angle >= pi / 2 or south <= -90 or north >= 90:
        # A pole is inside, and with it every meridian.
        return Box(max(south, -90.0), min(north, 90.0), ((-180.0, 180.0),))
    # The circle is widest not on its centre's parallel but nearer to the pole.
    spread = degrees(asin(min(1.0, sin(angle) / cos(radians(latitude)))))
    west, east = longitude - spread, longitude + spread
    if west < -180:
        return Box(south, north, ((west + 360, 180.0), (-180.0, east)))
    if east > 180:
        return Box(south, north, ((west, 180.0), (-180.0, east - 360)))
    return Box(south, north, ((west, east),))
