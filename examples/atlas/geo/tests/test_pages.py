from django.contrib.auth import get_user_model
from django.test import TestCase

from geo.models import City
from geo.tests.data import make_world


class PageTests(TestCase):
    @classmethod
    def setUpTestData(cls) -> None:
        make_world()

    def test_the_first_page_shows_the_largest_first(self) -> None:
        response = self.client.get("/")
        self.assertContains(response, "7 cities")
        self.assertLess(response.content.index(b"Paris"), response.content.index(b"Suva"))

    def test_search_by_name_and_country(self) -> None:
        response = self.client.get("/", {"q": "zurich", "country": "ch"})
        self.assertContains(response, "2 cities found")
        self.assertNotContains(response, "Winterthur")

    def test_what_was_typed_is_escaped(self) -> None:
        response = self.client.get("/", {"q": "<script>"})
        self.assertContains(response, "No city has that name")
        self.assertNotContains(response, "<script>")

    def test_pages_keep_the_search_and_survive_nonsense(self) -> None:
        City.objects.bulk_create(
            City(name=f"Ort {n}", folded_name=f"ort {n}", country_id="CH", latitude=0, longitude=0)
            for n in range(60)
        )
        response = self.client.get("/", {"q": "ort", "page": "2"})
        self.assertContains(response, "Page 2 of 3")
        self.assertContains(response, 'href="?page=3&amp;q=ort"')
        self.assertContains(self.client.get("/", {"page": "x"}), "Page 1 of 3")
        self.assertContains(self.client.get("/", {"page": "99"}), "Page 3 of 3")

    def test_a_list_takes_the_same_few_queries_for_any_number_of_cities(self) -> None:
        with self.assertNumQueries(3):  # count, page, the form's countries
            self.client.get("/")

    def test_city_with_its_neighbours_but_not_its_districts(self) -> None:
        response = self.client.get(City.objects.get(name="Zürich").get_absolute_url())
        self.assertContains(response, "415,367")
        self.assertContains(response, "47.37° N")
        self.assertContains(response, "Winterthur")
        self.assertNotContains(response, "Kreis 4")
        self.assertNotContains(response, "Suva")

    def test_city_alone(self) -> None:
        response = self.client.get(City.objects.get(name="Paris").get_absolute_url())
        self.assertContains(response, "No other city within 250 km")

    def test_countries_of_a_continent(self) -> None:
        self.assertContains(self.client.get("/countries/"), "Fiji")
        response = self.client.get("/countries/", {"continent": "eu"})
        self.assertContains(response, "France")
        self.assertNotContains(response, "Fiji")

    def test_country(self) -> None:
        response = self.client.get("/countries/CH/")
        self.assertContains(response, "205.9 per km²")
        self.assertContains(response, "All 4 cities of Switzerland")

    def test_what_is_not_there(self) -> None:
        self.assertEqual(self.client.get("/cities/999999/").status_code, 404)
        self.assertEqual(self.client.get("/countries/XX/").status_code, 404)
        self.assertEqual(self.client.post("/").status_code, 405)

    def test_map(self) -> None:
        response = self.client.get("/map.svg")
        self.assertEqual(response["Content-Type"], "image/svg+xml")
        self.assertContains(response, "M754 122h0")  # Zürich


class AdminTests(TestCase):
    @classmethod
    def setUpTestData(cls) -> None:
        make_world()
        get_user_model()._default_manager.create_superuser("boss", password="x")

    def setUp(self) -> None:
        self.assertTrue(self.client.login(username="boss", password="x"))

    def test_search_and_filters(self) -> None:
        response = self.client.get("/admin/geo/city/", {"q": "zurich"})
        self.assertContains(response, "2 cities")
        response = self.client.get("/admin/geo/city/", {"country__continent": "OC"})
        self.assertContains(response, "2 cities")
        self.assertContains(self.client.get("/admin/geo/country/", {"q": "CHE"}), "1 country")

    def test_add_form_saves_the_folded_name(self) -> None:
        fields = {"name": "Genève", "country": "CH", "population": 200_000, "timezone": "UTC"}
        response = self.client.post(
            "/admin/geo/city/add/", {**fields, "latitude": 46.2, "longitude": 6.15}
        )
        self.assertRedirects(response, "/admin/geo/city/")
        self.assertEqual(City.objects.get(name="Genève").folded_name, "geneve")
