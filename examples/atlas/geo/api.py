"""The typed JSON API, at /api/: a handler's signature is its contract."""

from typing import Annotated, Literal

import msgspec
from django.http import HttpRequest
from msgspec import Meta
from quintette import API, HTTPError, Query

from geo.models import City, Country

api = API(title="Atlas", version="1")

Name = Annotated[str, Meta(min_length=1, max_length=100)]
CountryCode = Annotated[str, Meta(pattern="^[A-Z]{2}$", examples=["FR"])]
ContinentCode = Literal["AF", "AN", "AS", "EU", "NA", "OC", "SA"]
Latitude = Annotated[float, Meta(ge=-90, le=90)]
Longitude = Annotated[float, Meta(ge=-180, le=180)]

Limit = Annotated[int, Query(ge=1, le=100)]
Offset = Annotated[int, Query(ge=0)]


class CountryRef(msgspec.Struct):
    code: str
    name: str


class CountryOut(msgspec.Struct):
    code: str
    name: str
    capital: str
    continent: str
    population: int
    area_km2: int
    currency: str


class CityOut(msgspec.Struct):
    id: int
    name: str
    country: CountryRef
    admin1: str
    population: int
    latitude: float
    longitude: float
    timezone: str


class NearbyCity(msgspec.Struct):
    distance_km: float
    city: CityOut


class CityIn(msgspec.Struct, forbid_unknown_fields=True):
    name: Name
    country: CountryCode
    latitude: Latitude
    longitude: Longitude
    population: Annotated[int, Meta(ge=0, le=100_000_000)] = 0
    timezone: Annotated[str, Meta(min_length=1, max_length=40)] = "UTC"


def city_out(city: City) -> CityOut:
    return msgspec.convert(city, CityOut, from_attributes=True)


@api.get("/cities")
def cities(
    request: HttpRequest,
    q: str | None = None,
    country: str | None = None,
    min_population: Annotated[int, Query(ge=0)] = 0,
    limit: Limit = 20,
    offset: Offset = 0,
) -> list[CityOut]:
    """Cities by size, filtered by a part of their name, country and population."""
    found = City.objects.select_related("country")
    if q:
        found = found.search(q)
    if country:
        found = found.filter(country=country.upper())
    if min_population:
        found = found.filter(population__gte=min_population)
    return [city_out(city) for city in found[offset : offset + limit]]


@api.get("/cities/nearby")
def nearby(
    lat: Annotated[float, Query(ge=-90, le=90)],
    lon: Annotated[float, Query(ge=-180, le=180)],
    radius_km: Annotated[float, Query(gt=0, le=2000)] = 100,
    limit: Limit = 20,
) -> list[NearbyCity]:
    """The cities nearest to a place, the nearest first."""
    return [
        NearbyCity(distance_km=round(km, 3), city=city_out(city))
        for km, city in City.objects.nearest(lat, lon, radius_km, limit)
    ]


@api.get("/cities/{id}")
async def city(id: int) -> CityOut:
    """One city."""
    found = await City.objects.select_related("country").filter(pk=id).afirst()
    if found is None:
        raise HTTPError(404, f"There is no city {id}.")
    return city_out(found)


@api.post("/cities", status=201)
async def create(body: CityIn) -> CityOut:
    """Add a city."""
    country = await Country.objects.filter(code=body.country).afirst()
    if country is None:
        raise HTTPError(422, f"There is no country {body.country}.")
    fields = msgspec.structs.asdict(body) | {"country": country}
    return city_out(await City.objects.acreate(**fields))


@api.get("/countries")
def countries(continent: ContinentCode | None = None) -> list[CountryOut]:
    """All countries, or those of one continent, by name."""
    found = Country.objects.all()
    if continent:
        found = found.filter(continent=continent)
    return msgspec.convert(list(found), list[CountryOut], from_attributes=True)


@api.get("/countries/{code}")
async def country(code: str) -> CountryOut:
    """One country."""
    found = await Country.objects.filter(code=code.upper()).afirst()
    if found is None:
        raise HTTPError(404, f"There is no country {code}.")
    return msgspec.convert(found, CountryOut, from_attributes=True)
