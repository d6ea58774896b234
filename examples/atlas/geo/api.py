"""The typed JSON API, at /api/: a handler's signature is its contract, a shape says what is read,
and what is asked all day is a compiled query."""

from typing import Annotated, Literal

import msgspec
from django.db.models import QuerySet
from msgspec import Meta
from quintette import API, HTTPError, Query, Shape, compiled, field

from geo.models import City, Country
from geo.text import fold

api = API(title="Atlas", version="1")

Name = Annotated[str, Meta(min_length=1, max_length=100)]
CountryCode = Annotated[str, Meta(pattern="^[A-Z]{2}$", examples=["FR"])]
ContinentCode = Literal["AF", "AN", "AS", "EU", "NA", "OC", "SA"]
Latitude = Annotated[float, Meta(ge=-90, le=90)]
Longitude = Annotated[float, Meta(ge=-180, le=180)]

Limit = Annotated[int, Query(ge=1, le=100)]
Offset = Annotated[int, Query(ge=0, le=1_000_000)]
Search = Annotated[str, Meta(max_length=100, pattern=r"^[^\x00]*$")]  # databases take no NUL
AnyCaseCode = Annotated[str, Meta(pattern="^[A-Za-z]{2}$", examples=["fr"])]

LARGEST_COUNT = 5

# --- what is read and written ---------------------------------------------------------------------


class CountryRef(Shape, model=Country):
    code: str
    name: str


class CityRef(Shape, model=City):
    id: int
    name: str
    population: int


class CountryOut(Shape, model=Country):
    code: str
    name: str
    capital: str
    continent: str
    population: int
    area_km2: int
    currency: str


class CountryDetail(CountryOut, model=Country):
    largest_cities: list[CityRef] = field(
        source="cities", queryset=lambda cities: cities[:LARGEST_COUNT]
    )


class CityOut(Shape, model=City):
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


class CityIn(Shape, model=City, forbid_unknown_fields=True):
    name: Name
    country: CountryCode
    latitude: Latitude
    longitude: Longitude
    population: Annotated[int, Meta(ge=0, le=100_000_000)] = 0
    timezone: Annotated[str, Meta(min_length=1, max_length=40)] = "UTC"


# --- compiled queries -----------------------------------------------------------------------------


@compiled(shape=CityOut)
def largest_cities(
    folded: str | None, country: str | None, min_population: int, limit: int, offset: int
) -> QuerySet[City]:
    found = City.objects.filter(population__gte=min_population)
    if folded is not None:
        found = found.filter(folded_name__contains=folded)
    if country is not None:
        found = found.filter(country=country)
    return found[offset : offset + limit]


@compiled(shape=CityOut)
def cities_by_id(id: int) -> QuerySet[City]:
    return City.objects.filter(pk=id)


# --- routes ---------------------------------------------------------------------------------------


@api.get("/cities")
async def cities(
    q: Search | None = None,
    country: AnyCaseCode | None = None,
    min_population: Annotated[int, Query(ge=0)] = 0,
    limit: Limit = 20,
    offset: Offset = 0,
) -> list[CityOut]:
    """Cities by size, filtered by a part of their name, country and population."""
    folded = fold(q) if q else None
    code = country.upper() if country else None
    return largest_cities.json(folded, code, min_population, limit, offset)


@api.get("/cities/nearby")
def nearby(
    lat: Annotated[float, Query(ge=-90, le=90)],
    lon: Annotated[float, Query(ge=-180, le=180)],
    radius_km: Annotated[float, Query(gt=0, le=2000)] = 100,
    limit: Limit = 20,
) -> list[NearbyCity]:
    """The cities nearest to a place, the nearest first."""
    return [
        NearbyCity(round(km, 3), msgspec.convert(city, CityOut, from_attributes=True))
        for km, city in City.objects.nearest(lat, lon, radius_km, limit)
    ]


@api.get("/cities/{id}")
async def city(id: int) -> CityOut:
    """One city."""
    found = await cities_by_id(id)
    if not found:
        raise HTTPError(404, f"There is no city {id}.")
    return found[0]


@api.post("/cities", status=201)
async def create(body: CityIn) -> CityOut:
    """Add a city."""
    city: City = await body.acreate()
    return CityOut.select(City.objects.filter(pk=city.pk)).one


@api.get("/countries")
def countries(continent: ContinentCode | None = None) -> list[CountryOut]:
    """All countries, or those of one continent, by name."""
    found = Country.objects.all()
    return CountryOut.select(found.filter(continent=continent) if continent else found)


@api.get("/countries/{code}")
async def country(code: AnyCaseCode) -> CountryDetail:
    """One country with its largest cities: two queries, however many cities."""
    return CountryDetail.select(Country.objects.filter(code=code.upper())).one
