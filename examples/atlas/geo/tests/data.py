"""A world of a few places, for the tests."""

from geo.models import City, Country

# code, three letters, name, capital, continent, population, km²
COUNTRIES = [
    ("CH", "CHE", "Switzerland", "Bern", "EU", 8_500_000, 41_290),
    ("FR", "FRA", "France", "Paris", "EU", 67_000_000, 547_030),
    ("FJ", "FJI", "Fiji", "Suva", "OC", 900_000, 18_270),
]

# name, country, population, latitude, longitude
CITIES = [
    ("Zürich", "CH", 415_367, 47.36667, 8.55),
    ("Zürich (Kreis 4)", "CH", 27_990, 47.37752, 8.5213),
    ("Winterthur", "CH", 91_908, 47.50564, 8.72413),
    ("Bern", "CH", 121_631, 46.94809, 7.44744),
    ("Paris", "FR", 2_138_551, 48.85341, 2.3488),
    ("Suva", "FJ", 93_970, -18.14161, 178.44149),
    ("Waiyevo", "FJ", 300, -16.79, -179.98),
]

TIMEZONES = {"CH": "Europe/Zurich", "FR": "Europe/Paris", "FJ": "Pacific/Fiji"}


def make_world() -> None:
    Country.objects.bulk_create(
        Country(
            code=code,
            iso3=iso3,
            name=name,
            capital=capital,
            continent=continent,
            population=population,
            area_km2=area_km2,
        )
        for code, iso3, name, capital, continent, population, area_km2 in COUNTRIES
    )
    for name, country, population, latitude, longitude in CITIES:
        City.objects.create(
            name=name,
            country_id=country,
            population=population,
            latitude=latitude,
            longitude=longitude,
            timezone=TIMEZONES[country],
        )
