import random
from math import pi

from django.test import SimpleTestCase

from geo.distance import EARTH_RADIUS_KM, Box, bounding_box, distance_km

HALF_ROUND_KM = pi * EARTH_RADIUS_KM

# what, from, to, km
DISTANCES = [
    ("the same place", (47.37, 8.55), (47.37, 8.55), 0.0),
    ("a degree of the equator", (0, 0), (0, 1), HALF_ROUND_KM / 180),
    ("a degree of a meridian", (10, 20), (11, 20), HALF_ROUND_KM / 180),
    ("across the antimeridian", (0, 179.5), (0, -179.5), HALF_ROUND_KM / 180),
    ("from pole to pole", (90, 0), (-90, 123), HALF_ROUND_KM),
    ("antipodes", (47.37, 8.55), (-47.37, -171.45), HALF_ROUND_KM),
]


def holds(box: Box, latitude: float, longitude: float) -> bool:
    return box.south <= latitude <= box.north and any(
        west <= longitude <= east for west, east in box.longitudes
    )


class DistanceTests(SimpleTestCase):
    def test_table(self) -> None:
        for what, (lat1, lon1), (lat2, lon2), expected in DISTANCES:
            with self.subTest(what):
                self.assertAlmostEqual(distance_km(lat1, lon1, lat2, lon2), expected, delta=0.001)


class BoundingBoxTests(SimpleTestCase):
    def test_box_around_the_origin_is_a_degree_high(self) -> None:
        box = bounding_box(0, 0, HALF_ROUND_KM / 180)
        self.assertAlmostEqual(box.north, 1)
        self.assertAlmostEqual(box.south, -1)
        self.assertAlmostEqual(box.longitudes[0][1], 1)

    def test_two_spans_across_the_antimeridian(self) -> None:
        for longitude in (179.9, -179.9):
            box = bounding_box(-18, longitude, 100)
            self.assertEqual(len(box.longitudes), 2)
            self.assertTrue(holds(box, -18, 180) and holds(box, -18, -180))

    def test_all_meridians_at_a_pole(self) -> None:
        self.assertEqual(bounding_box(89.9, 0, 100).longitudes, ((-180.0, 180.0),))
        self.assertEqual(bounding_box(0, 0, 11_000).longitudes, ((-180.0, 180.0),))

    def test_no_point_of_the_circle_is_outside_the_box(self) -> None:
        seeded = random.Random(20_000)
        inside = 0
        for _ in range(20_000):
            latitude, longitude = seeded.uniform(-90, 90), seeded.uniform(-180, 180)
            radius_km = seeded.choice([5, 100, 1500, 9000])
            spread = radius_km / 60
            other_latitude = min(90, max(-90, latitude + seeded.uniform(-spread, spread)))
            other_longitude = seeded.uniform(-180, 180)
            if distance_km(latitude, longitude, other_latitude, other_longitude) <= radius_km:
                inside += 1
                box = bounding_box(latitude, longitude, radius_km)
                self.assertTrue(
                    holds(box, other_latitude, other_longitude),
                    (latitude, longitude, radius_km, other_latitude, other_longitude),
                )
        self.assertGreater(inside, 1000)
