from django.test import SimpleTestCase, TestCase

from geo.models import City
from geo.tests.data import make_world
from geo.text import fold
from geo.worldmap import place_percent, world_svg

FOLDED = [
    ("Zürich", "zurich"),
    ("Łódź", "lodz"),
    ("Tromsø", "tromso"),
    ("Iğdır", "igdir"),
    ("Weißenfels", "weissenfels"),
    ("  Bern ", "bern"),
]


class FoldTests(SimpleTestCase):
    def test_table(self) -> None:
        for name, folded in FOLDED:
            with self.subTest(name):
                self.assertEqual(fold(name), folded)


class CityTests(TestCase):
    @classmethod
    def setUpTestData(cls) -> None:
        make_world()

    def names(self, text: str) -> list[str]:
        return list(City.objects.search(text).values_list("name", flat=True))

    def test_search_knows_no_accents_and_no_case(self) -> None:
        self.assertEqual(self.names("ZURICH"), ["Zürich", "Zürich (Kreis 4)"])
        self.assertEqual(self.names("zür"), ["Zürich", "Zürich (Kreis 4)"])

    def test_search_takes_wildcards_literally(self) -> None:
        self.assertEqual(self.names("%"), [])

    def test_a_renamed_city_is_found_under_its_new_name(self) -> None:
        city = City.objects.get(name="Bern")
        city.name = "Berne-la-Ville"
        city.save()
        self.assertEqual(self.names("la-ville"), ["Berne-la-Ville"])

    def test_nearest_are_in_order_within_the_radius(self) -> None:
        pairs = City.objects.nearest(47.36667, 8.55, radius_km=50, limit=10)
        self.assertEqual([c.name for _, c in pairs], ["Zürich", "Zürich (Kreis 4)", "Winterthur"])
        self.assertEqual(pairs[0][0], 0)
        self.assertAlmostEqual(pairs[2][0], 20.3, delta=0.1)

    def test_nearest_crosses_the_antimeridian(self) -> None:
        pairs = City.objects.nearest(-16.8, 179.9, radius_km=300, limit=10)
        self.assertEqual([c.name for _, c in pairs], ["Waiyevo", "Suva"])

    def test_nearest_stops_at_the_limit(self) -> None:
        self.assertEqual(len(City.objects.nearest(47.4, 8.5, radius_km=5000, limit=2)), 2)


class WorldMapTests(SimpleTestCase):
    def test_places(self) -> None:
        self.assertEqual(place_percent(78, -180), (0, 0))
        self.assertEqual(place_percent(11, 0), (50, 50))
        self.assertEqual(place_percent(-80, 180), (100, 100))

    def test_one_path_for_each_size(self) -> None:
        svg = world_svg([(78.0, -180.0, 5_000_000), (77.0, -179.0, 10)])
        self.assertIn('stroke-width="7" d="M0 0h0"', svg)
        self.assertIn('stroke-width="3" d="M4 4h0"', svg)
