"""The API as plain Django views, through Django's test client."""

from typing import Any

from django.test import TestCase

from geo.models import City
from geo.tests.data import make_world

VALID = {"name": "Genève", "country": "CH", "latitude": 46.2, "longitude": 6.15}

# what is wrong, what to change in VALID
INVALID_BODIES: list[tuple[str, dict[str, Any]]] = [
    ("empty name", {"name": ""}),
    ("long name", {"name": "x" * 101}),
    ("name of another type", {"name": 7}),
    ("latitude past the pole", {"latitude": 90.5}),
    ("longitude past the antimeridian", {"longitude": -181}),
    ("a number in quotes", {"latitude": "46.2"}),
    ("country in small letters", {"country": "ch"}),
    ("country that is not there", {"country": "XX"}),
    ("fewer than no inhabitants", {"population": -1}),
    ("a field that is not known", {"mayor": "?"}),
]

INVALID_QUERIES = [
    "/api/cities?limit=0",
    "/api/cities?limit=101",
    "/api/cities?limit=ten",
    "/api/cities?offset=-1",
    "/api/cities?offset=9223372036854775807",
    "/api/cities?q=%00",
    "/api/cities?country=%00",
    "/api/cities?min_population=-1",
    "/api/cities/nearby",
    "/api/cities/nearby?lat=47",
    "/api/cities/nearby?lat=91&lon=0",
    "/api/cities/nearby?lat=0&lon=0&radius_km=0",
    "/api/cities/nearby?lat=0&lon=0&radius_km=2001",
]


class ReadTests(TestCase):
    @classmethod
    def setUpTestData(cls) -> None:
        make_world()

    def names(self, path: str) -> list[str]:
        response = self.client.get(path)
        self.assertEqual(response.status_code, 200, response.content)
        return [row["name"] for row in response.json()]

    def test_city(self) -> None:
        city = City.objects.get(name="Zürich")
        response = self.client.get(f"/api/cities/{city.pk}")
        self.assertEqual(response.status_code, 200)
        self.assertEqual(response["Content-Type"], "application/json")
        self.assertEqual(
            response.json(),
            {
                "id": city.pk,
                "name": "Zürich",
                "country": {"code": "CH", "name": "Switzerland"},
                "admin1": "",
                "population": 415_367,
                "latitude": 47.36667,
                "longitude": 8.55,
                "timezone": "Europe/Zurich",
            },
        )

    def test_what_is_not_there(self) -> None:
        for path in ("/api/cities/999999", "/api/countries/XX"):
            response = self.client.get(path)
            self.assertEqual(response.status_code, 404)
            self.assertEqual(response["Content-Type"], "application/problem+json")
            self.assertEqual(response.json()["status"], 404)

    def test_cities_are_filtered(self) -> None:
        self.assertEqual(self.names("/api/cities?limit=2"), ["Paris", "Zürich"])
        self.assertEqual(self.names("/api/cities?limit=1&offset=1"), ["Zürich"])
        self.assertEqual(self.names("/api/cities?q=WINTER"), ["Winterthur"])
        self.assertEqual(self.names("/api/cities?country=fj"), ["Suva", "Waiyevo"])
        self.assertEqual(self.names("/api/cities?min_population=1000000"), ["Paris"])
        self.assertEqual(self.names("/api/cities?q=nowhere"), [])

    def test_a_list_takes_one_query(self) -> None:
        with self.assertNumQueries(1):
            self.names("/api/cities")

    def test_nearby(self) -> None:
        response = self.client.get("/api/cities/nearby?lat=47.36667&lon=8.55&radius_km=50")
        rows = response.json()
        names = [row["city"]["name"] for row in rows]
        self.assertEqual(names, ["Zürich", "Zürich (Kreis 4)", "Winterthur"])
        self.assertEqual([row["distance_km"] for row in rows], [0.0, 2.475, 20.256])
        self.assertEqual(rows[0]["city"]["country"]["code"], "CH")

    def test_countries(self) -> None:
        self.assertEqual(self.names("/api/countries"), ["Fiji", "France", "Switzerland"])
        self.assertEqual(self.names("/api/countries?continent=OC"), ["Fiji"])
        self.assertEqual(self.client.get("/api/countries?continent=XX").status_code, 422)
        country = self.client.get("/api/countries/CH").json()
        self.assertEqual((country["capital"], country["area_km2"]), ("Bern", 41_290))

    def test_what_does_not_fit_is_refused(self) -> None:
        for path in INVALID_QUERIES:
            with self.subTest(path):
                response = self.client.get(path)
                self.assertEqual(response.status_code, 422, response.content)
                self.assertEqual(response["Content-Type"], "application/problem+json")


class CreateTests(TestCase):
    @classmethod
    def setUpTestData(cls) -> None:
        make_world()

    def post(self, body: Any) -> Any:
        return self.client.post("/api/cities", body, content_type="application/json")

    def test_created_and_found(self) -> None:
        response = self.post(VALID)
        self.assertEqual(response.status_code, 201, response.content)
        created = response.json()
        self.assertEqual(created["country"], {"code": "CH", "name": "Switzerland"})
        self.assertEqual(self.client.get(f"/api/cities/{created['id']}").json(), created)
        self.assertEqual(City.objects.search("geneve").get().pk, created["id"])

    def test_what_does_not_fit_is_refused(self) -> None:
        count = City.objects.count()
        for what, change in INVALID_BODIES:
            with self.subTest(what):
                response = self.post(VALID | change)
                self.assertEqual(response.status_code, 422, response.content)
                self.assertEqual(response["Content-Type"], "application/problem+json")
        self.assertEqual(City.objects.count(), count)

    def test_not_json(self) -> None:
        response = self.post("{")
        self.assertIn(response.status_code, (400, 422))
        self.assertEqual(response["Content-Type"], "application/problem+json")
