"""Compiled queries whose rows are shapes."""

import msgspec
import pytest
import worlds
from django.db import connections
from django.db.models import F, QuerySet
from django.test.utils import CaptureQueriesContext
from shapes_app.models import Airport, City, Continent, Country

from quintette import Shape, compiled, computed, field
from quintette.db.shapes import binding, compiling


class CountryOut(Shape, model=Country):
    code: str
    continent: Continent


class AirportOut(Shape, model=Airport):
    iata: str


class SisterOut(Shape, model=City, rename="camel"):
    city_name: str = field(source="name")
    country: CountryOut


class FlatOut(Shape, model=City):
    name: str
    twice: int = field(expr=F("population") * 2)
    country: CountryOut
    sister: SisterOut | None


class CityOut(FlatOut):
    airports: list[AirportOut] = field(source="airport_set")

    @computed
    def shown(self) -> str:
        return f"{self.name} {len(self.airports)}"


class BigOut(Shape, model=City):
    name: str

    @classmethod
    def queryset(cls, queryset: QuerySet[City]) -> QuerySet[City]:
        return queryset.filter(population__gt=1000)


@pytest.mark.parametrize("shape", [FlatOut, CityOut, BigOut])
def test_equals_the_selection(using: str, shape: type[Shape]) -> None:
    limited = shape is not BigOut  # its own filter comes behind the query set's

    @compiled(shape=shape)
    def in_country(country: str, limit: int = 5):  # type: ignore[no-untyped-def]
        cities = City.objects.using(using).filter(country__code=country)
        cities = cities.order_by("-population", "name")
        return cities[:limit] if limited else cities

    worlds.make(using)
    for country in ("PK", "JP", "FR", "ZZ"):
        cities = City.objects.using(using).filter(country__code=country)
        cities = cities.order_by("-population", "name")
        expected = shape.select(cities[:5] if limited else cities)
        assert in_country(country).get() == expected.all()
        assert in_country.json(country).get() == expected.json()
    with CaptureQueriesContext(connections[using]) as seen:
        in_country("JP").get()
    assert len(seen) == (2 if shape is CityOut else 1)


def test_one_object(using: str) -> None:
    @compiled
    def named(name: str) -> CityOut:
        return City.objects.using(using).filter(name=name)  # type: ignore[return-value]

    worlds.make(using)
    expected = CityOut.select(City.objects.using(using)).get(name="City 1")
    assert named("City 1").get() == expected
    assert named.json("City 1").get() == msgspec.json.encode(expected)
    with pytest.raises(City.DoesNotExist):
        named("nowhere").get()


def test_what_c_is_told() -> None:
    flat = compiling.ShapeNode(binding.bound(FlatOut))
    assert flat.in_c
    names = [step[1] for step in flat.steps("") if len(step) > 1]
    assert names == [
        "", "name", "twice", "country", "code", "continent",
        "sister", "cityName", "country", "code", "continent",
    ]  # fmt: skip
    assert not compiling.ShapeNode(binding.bound(CityOut)).in_c
