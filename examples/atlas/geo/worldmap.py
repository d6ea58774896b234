"""A map of dots, and where a place is on it."""

from collections.abc import Iterable

# The plate carrée projection without the Antarctic, which has no cities: x is the longitude,
# y the latitude, so a place on the map is a percentage of its width and height.
NORTH, SOUTH = 78.0, -56.0
SCALE = 4  # units of the drawing to a degree
WIDTH, HEIGHT = 360 * SCALE, int((NORTH - SOUTH) * SCALE)

# Radius of a dot for cities of at least so many inhabitants, largest first.
_SIZES = ((3_000_000, 7), (500_000, 5), (0, 3))


def place_percent(latitude: float, longitude: float) -> tuple[float, float]:
    """(left, top) in percent of the map's size, kept inside it."""
    left = (longitude + 180) / 360 * 100
    top = (NORTH - latitude) / (NORTH - SOUTH) * 100
    return round(min(max(left, 0), 100), 2), round(min(max(top, 0), 100), 2)


def world_svg(cities: Iterable[tuple[float, float, int]]) -> str:
    """An SVG of (latitude, longitude, population) points: one path for each size of dot."""
    paths: dict[int, list[str]] = {width: [] for _, width in _SIZES}
    for latitude, longitude, population in cities:
        width = next(width for least, width in _SIZES if population >= least)
        x, y = round((longitude + 180) * SCALE), round((NORTH - latitude) * SCALE)
        paths[width].append(f"M{x} {y}h0")
    strokes = "".join(
        f'<path stroke-width="{width}" d="{"".join(dots)}"/>' for width, dots in paths.items()
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}">'
        f'<g fill="none" stroke="#7d93b2" stroke-linecap="round">{strokes}</g></svg>'
    )
