"""Compiled queries with to-many fields on connections of our own: all statements run together, and
results are, byte for byte, those of the ORM and msgspec.json.encode."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Iterator
from typing import Any

import msgspec
import pytest
import test_shape_random
import worlds
from django.core.management import call_command
from django.db import connections
from django.db.models import F, QuerySet
from django.db.models.expressions import Col
from django.db.models.functions import Now, Random
from shapes_app.models import Airport, City, Country, Flight, Tag

from quintette import Shape, _quintette, compiled, field
from quintette.db.compiled import engines
from quintette.db.compiled.statement import Statement
from quintette.db.shapes import beside

SEEDS = range(40)
FILE = "shapes_file"


@pytest.fixture(scope="module")
def loop() -> Iterator[Any]:
    loop = asyncio.SelectorEventLoop(_quintette.Poller())  # type: ignore[arg-type]
    yield loop
    loop.close()


@pytest.fixture(scope="module")
def _file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    name = str(tmp_path_factory.mktemp("shapes") / "db.sqlite3")
    connections.settings[FILE] = connections.configure_settings(
        {"default": {}, FILE: {"ENGINE": "django.db.backends.sqlite3", "NAME": name}}
    )[FILE]
    call_command("migrate", database=FILE, run_syncdb=True, verbosity=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engines, "SQLITE_BUDGET_USEC", 10_000_000)  # whatever else the machine does
        yield FILE
    connections[FILE].close()
    del connections.settings[FILE]


@pytest.fixture(
    scope="module", params=["file", pytest.param("postgresql", marks=pytest.mark.postgresql)]
)
def stored(request: pytest.FixtureRequest) -> Iterator[str]:
    """The alias of a database whose rows other connections see."""
    alias = str(request.getfixturevalue(f"_{request.param}"))
    worlds.make(alias, seed=3, cities=14)
    yield alias
    for model in (Flight, Airport, City, Country, Tag):
        model.objects.using(alias).all().delete()
    if connections[alias].vendor == "postgresql":
        with connections[alias].cursor() as cursor:  # else the database cannot be dropped
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )


async def awaited(pending: Awaitable[Any]) -> Any:
    return await pending


def refuse(*args: Any) -> Any:
    raise AssertionError("a query ran on Django's connection")


class FlightOut(Shape, model=Flight):
    number: int


class AirportOut(Shape, model=Airport):
    iata: str
    passengers: int | None
    departures: list[FlightOut]
    arrivals: tuple[FlightOut, ...]


class TagOut(Shape, model=Tag):
    label: str
    parent__label: str | None


class CountryOut(Shape, model=Country):
    name: str


class CityOut(Shape, model=City, rename="camel"):
    city_name: str = field(source="name")
    country: CountryOut
    airports: list[AirportOut] = field(source="airport_set")
    tags: list[TagOut]
    twins__name: list[str]


def plain(city: City) -> dict[str, Any]:
    """What CityOut is of it, by the attributes of the ORM's instances."""
    return {
        "cityName": city.name,
        "country": {"name": city.country.name},
        "airports": [
            {
                "iata": airport.iata,
                "passengers": airport.passengers,
                "departures": [{"number": one.number} for one in airport.departures.all()],
                "arrivals": [{"number": one.number} for one in airport.arrivals.all()],
            }
            for airport in city.airport_set.all()
        ],
        "tags": [
            {"label": tag.label, "parent__label": tag.parent and tag.parent.label}
            for tag in city.tags.all()
        ],
        "twinsName": [twin.name for twin in city.twins.all()],
    }


@pytest.mark.parametrize("limit", [0, 1, 5, 100])
def test_levels(stored: str, loop: Any, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    @compiled(shape=CityOut)
    def cities(least: int, limit: int, offset: int = 0):  # type: ignore[no-untyped-def]
        found = City.objects.using(stored).filter(population__gte=least)
        return found.order_by("-name")[offset : offset + limit]

    expected = [
        plain(city)
        for city in City.objects.using(stored)
        .filter(population__gte=1000)
        .order_by("-name", "pk")[1 : 1 + limit]
    ]
    assert limit == 0 or any(city["airports"] and city["tags"] for city in expected) or limit == 1
    monkeypatch.setattr(Statement, "run", refuse)
    for _ in range(2):
        got = loop.run_until_complete(awaited(cities.json(1000, limit, 1)))
        assert got == msgspec.json.encode(expected)
        objects = loop.run_until_complete(awaited(cities(1000, limit, 1)))
        assert objects == msgspec.convert(expected, list[CityOut])
    statement = cities._statement(1000, limit, 1)
    assert statement.has_plan
    assert len(statement.python.children) == 3
    assert len(statement.python.children[0].children) == 2


def test_many_at_once(stored: str, loop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call's children are its own."""

    @compiled(shape=CityOut)
    def named(name: str):  # type: ignore[no-untyped-def]
        return City.objects.using(stored).filter(name=name)

    found = list(City.objects.using(stored).order_by("pk"))
    expected = [msgspec.json.encode([plain(city)]) for city in found]
    monkeypatch.setattr(Statement, "run", refuse)

    async def all_of_them() -> list[bytes]:
        return await asyncio.gather(*(awaited(named.json(city.name)) for city in found * 5))

    assert loop.run_until_complete(all_of_them()) == expected * 5


def test_single(stored: str, loop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    @compiled
    def one(name: str) -> CityOut:
        return City.objects.using(stored).filter(name=name)  # type: ignore[return-value]

    @compiled
    def maybe(name: str) -> CityOut | None:
        return City.objects.using(stored).filter(name=name)  # type: ignore[return-value]

    expected = plain(City.objects.using(stored).get(name="City 3"))
    monkeypatch.setattr(Statement, "run", refuse)
    for query in (one, maybe):
        assert loop.run_until_complete(awaited(query.json("City 3"))) == msgspec.json.encode(
            expected
        )
        got = loop.run_until_complete(awaited(query("City 3")))
        assert got == msgspec.convert(expected, CityOut)
    assert loop.run_until_complete(awaited(maybe.json("nowhere"))) == b"null"
    assert loop.run_until_complete(awaited(maybe("nowhere"))) is None
    for pending in (one.json("nowhere"), one("nowhere")):
        with pytest.raises(City.DoesNotExist):
            loop.run_until_complete(awaited(pending))


def test_a_slice_without_an_order_of_its_own(stored: str, loop: Any) -> None:
    """Ties are decided by the primary key, in the rows and within the children alike."""

    @compiled(shape=CityOut)
    def cities(limit: int):  # type: ignore[no-untyped-def]
        return City.objects.using(stored).order_by("population")[:limit]

    ordered = City.objects.using(stored).order_by("population", "pk")
    for limit in range(1, 14):
        expected = [plain(city) for city in ordered[:limit]]
        got = loop.run_until_complete(awaited(cities.json(limit)))
        assert got == msgspec.json.encode(expected)
    statement = cities._statement(1).python
    assert statement.children
    assert statement.sql.text("${}").count('"id"') >= 2


@pytest.fixture
def citext(stored: str) -> Iterator[None]:
    """PostgreSQL's labels of tags are of a type that an extension has brought."""
    connection = connections[stored]
    if connection.vendor != "postgresql":
        pytest.skip("of PostgreSQL")
    with connection.cursor() as cursor:
        cursor.execute("CREATE EXTENSION IF NOT EXISTS citext")
        cursor.execute("ALTER TABLE shapes_app_tag ALTER COLUMN label TYPE citext")
        yield
        cursor.execute("ALTER TABLE shapes_app_tag ALTER COLUMN label TYPE varchar(20)")


@pytest.mark.usefixtures("citext")
def test_children_of_a_type_that_the_driver_knows(
    stored: str, loop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    @compiled(shape=CityOut)
    def cities():  # type: ignore[no-untyped-def]
        return City.objects.using(stored).order_by("name")

    expected = [plain(city) for city in City.objects.using(stored).order_by("name")]
    assert loop.run_until_complete(awaited(cities.json())) == msgspec.json.encode(expected)
    monkeypatch.setattr(Statement, "run", refuse)
    assert loop.run_until_complete(awaited(cities.json())) == msgspec.json.encode(expected)
    got = loop.run_until_complete(awaited(cities()))
    assert got == msgspec.convert(expected, list[CityOut])


class SlicedOut(Shape, model=City):
    name: str
    airports: list[AirportOut] = field(source="airport_set", queryset=lambda them: them[:1])


class ComputedOut(CityOut):
    """Python makes a set of them, from the rows that C has read."""

    labels: set[str] = field(source="tags__label")


def by_chance() -> QuerySet[City]:
    return City.objects.annotate(chance=Random()).filter(chance__gte=-1e30)


def before_now() -> QuerySet[City]:
    return City.objects.filter(changed__lte=Now()).order_by("pk")[:3]


@pytest.mark.parametrize(
    ("shape", "rows", "why"),
    [
        (SlicedOut, City.objects.order_by("pk"), "a slice for each parent"),
        (CityOut, by_chance().order_by("pk"), "chance"),
        (CityOut, before_now(), "the time"),
        (CityOut, City.objects.order_by("?")[:3], "chance"),
        (CityOut, City.objects.filter(tags__label__gt="a").distinct()[:3], "distinct"),
    ],
)
def test_apart(stored: str, loop: Any, shape: Any, rows: Any, why: str) -> None:
    """What cannot stand in the children's query: by the keys of rows that are there."""

    @compiled(shape=shape)
    def cities():  # type: ignore[no-untyped-def]
        return rows.using(stored)

    statement = cities._statement()
    assert statement.in_python
    assert not statement.python.children
    assert why in statement.python.apart
    assert why in cities.explain()
    got = msgspec.json.decode(loop.run_until_complete(awaited(cities.json())))
    if "chance" not in why:
        expected = shape.select(rows.using(stored)).json()
        assert got == msgspec.json.decode(expected)


def test_values_that_python_makes(stored: str, loop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    @compiled(shape=ComputedOut)
    def cities():  # type: ignore[no-untyped-def]
        return City.objects.using(stored).order_by("pk")

    expected = ComputedOut.select(City.objects.using(stored).order_by("pk")).all()
    monkeypatch.setattr(Statement, "run", refuse)
    assert loop.run_until_complete(awaited(cities())) == expected
    got = loop.run_until_complete(awaited(cities.json()))
    assert msgspec.json.decode(got, type=list[ComputedOut]) == expected


def test_explained(stored: str) -> None:
    @compiled(shape=CityOut)
    def cities(limit: int = 3):  # type: ignore[no-untyped-def]
        return City.objects.using(stored).order_by(F("name").desc())[:limit]

    text = cities.explain()
    assert text.count(" IN (SELECT ") + text.count(" = ANY(ARRAY(SELECT ") >= 5
    assert "one after the other" not in text


def test_children_of_a_slice_by_their_index(stored: str) -> None:
    """PostgreSQL scans for IN (SELECT ... LIMIT), whose rows it takes for a tenth of the table."""
    vendor = connections[stored].vendor

    @compiled(shape=CityOut)
    def some(limit: int = 3):  # type: ignore[no-untyped-def]
        return City.objects.using(stored).order_by("name")[:limit]

    @compiled(shape=CityOut)
    def every():  # type: ignore[no-untyped-def]
        return City.objects.using(stored).order_by("name")

    by_array = "= ANY(ARRAY(SELECT "
    texts = [child.sql.text("${}") for child in some._statement(3).python.children]
    assert [by_array in text for text in texts] == [vendor == "postgresql"] * 3
    assert [" IN (SELECT " in text for text in texts] == [vendor != "postgresql"] * 3
    assert not any(by_array in one.sql.text("${}") for one in every._statement().python.children)


@pytest.mark.parametrize(
    ("field", "indexed"),
    [
        (Airport._meta.get_field("city"), True),
        (City._meta.get_field("id"), True),
        (City.tags.through._meta.get_field("city"), True),
        (City._meta.get_field("country"), True),
        (City._meta.get_field("name"), False),
        (Airport._meta.get_field("iata"), True),
        (Flight._meta.get_field("number"), False),
    ],
)
def test_what_is_indexed(field: Any, indexed: bool) -> None:
    assert beside._is_indexed(Col("t", field)) is indexed
    assert not beside._is_indexed(Now())


@pytest.mark.parametrize("seed", SEEDS)
def test_random_shapes(stored: str, loop: Any, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(seed)
    model: Any = chance.choice([City, Country, Tag, Airport])
    made = test_shape_random.make(chance, model)
    order = chance.choice(["pk", "-pk"])
    sliced = chance.random() < 0.7

    @compiled(shape=made.shape)
    def some(offset: int, limit: int):  # type: ignore[no-untyped-def]
        found = model.objects.using(stored).order_by(order)
        return found[offset : offset + limit] if sliced else found.filter(pk__isnull=False)

    offset, limit = chance.randrange(3), chance.randrange(1, 12)
    rows = model.objects.using(stored).order_by(order)
    expected = [made.expected(it) for it in (rows[offset : offset + limit] if sliced else rows)]
    statement = some._statement(offset, limit)
    assert statement.in_python == (statement.python.apart != "")
    assert statement.python.apart in ("", "a generic relation")
    if not statement.in_python:
        monkeypatch.setattr(Statement, "run", refuse)
    got = loop.run_until_complete(awaited(some.json(offset, limit)))
    assert got == msgspec.json.encode(expected)
    objects = loop.run_until_complete(awaited(some(offset, limit)))
    assert [msgspec.to_builtins(it) for it in objects] == expected
