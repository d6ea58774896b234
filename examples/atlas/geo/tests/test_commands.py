from io import StringIO

from django.contrib.auth import authenticate
from django.core.management import CommandError, call_command
from django.test import TestCase, override_settings

from geo.models import City, Country


class LoadAtlasTests(TestCase):
    def load(self, *args: str) -> str:
        out = StringIO()
        call_command("load_atlas", *args, stdout=out)
        return out.getvalue()

    def test_loads_the_world_once(self) -> None:
        self.assertIn("are loaded", self.load())
        count = City.objects.count()
        self.assertGreater(count, 20_000)
        self.assertGreater(Country.objects.count(), 200)
        self.assertEqual(City.objects.search("Timbuktu").get().country.name, "Mali")

        City.objects.filter(name="Timbuktu").update(population=1)
        before = City.objects.get(name="Timbuktu").pk
        self.load()
        self.assertEqual(City.objects.count(), count)
        self.assertEqual(City.objects.get(name="Timbuktu").pk, before)
        self.assertGreater(City.objects.get(name="Timbuktu").population, 1)

        City.objects.filter(name="Timbuktu").update(population=1)
        self.assertEqual(self.load("--if-empty"), "")
        self.assertEqual(City.objects.get(name="Timbuktu").population, 1)


class CreateDemoAdminTests(TestCase):
    @override_settings(DEBUG=True)
    def test_twice_is_once(self) -> None:
        call_command("create_demo_admin")
        call_command("create_demo_admin")
        user = authenticate(username="admin", password="atlas")
        self.assertTrue(user and user.is_superuser)

    @override_settings(DEBUG=False)
    def test_not_in_production(self) -> None:
        with self.assertRaises(CommandError):
            call_command("create_demo_admin")
        self.assertIsNone(authenticate(username="admin", password="atlas"))
