"""Selections on an event loop, over the engines that wait there: no thread is involved."""

import asyncio
import contextlib
import datetime as dt
import threading
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import worlds
from django.core.management import call_command
from django.db import connections, transaction
from django.db.models import F
from shapes_aliases import POSTGRESQL
from shapes_app.models import Airport, City, Continent, Country

from quintette import compiled
from quintette._quintette import Poller
from quintette.concurrency import engines, patches
from quintette.db import pool
from quintette.db.compiled.statement import Statement
from quintette.db.shapes import Shape, computed, field

ALIAS = "shapes_loop"
SECONDS = 30


class AirportOut(Shape, model=Airport):
    iata: str


class CityOut(Shape, model=City):
    name: str
    airports: list[AirportOut] = field(source="airport_set")

    @computed
    def thread(self) -> int:
        return threading.get_ident()


class CityIn(Shape, model=City):
    name: str
    country: str


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def loop_alias(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The alias of a database whose engine waits on the loop, with rows that are committed."""
    patches.install()
    if request.param == "sqlite":
        settings = {"ENGINE": "quintette.db.sqlite3", "NAME": str(tmp_path / "shapes.sqlite3")}
    else:
        request.getfixturevalue("_postgresql")
        given = connections[POSTGRESQL].settings_dict
        settings = {**given, "ENGINE": "quintette.db.postgresql"}
    connections.settings[ALIAS] = connections.configure_settings({"default": {}, ALIAS: settings})[
        ALIAS
    ]
    engines.waits.cache_clear()
    try:
        if request.param == "sqlite":  # PostgreSQL's has its tables already
            call_command("migrate", database=ALIAS, run_syncdb=True, verbosity=0)
        worlds.make(ALIAS)
        yield ALIAS
        call_command("flush", database=ALIAS, interactive=False, verbosity=0)
    finally:
        connections[ALIAS].close()
        del connections[ALIAS]
        del connections.settings[ALIAS]


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    async def within() -> None:
        try:
            async with asyncio.timeout(SECONDS):
                await coroutine
        finally:
            await asyncio.sleep(0)
            await pool.drain()

    asyncio.run(within())


def test_reads_on_the_loops_thread(loop_alias: str) -> None:
    cities = City.objects.using(loop_alias)
    expected = [(one.name, [a.iata for a in one.airport_set.all()]) for one in cities]

    async def use() -> None:
        selected = CityOut.select(cities)
        here = threading.get_ident()
        found = await selected
        assert [(one.name, [a.iata for a in one.airports]) for one in found] == expected
        assert {one.thread for one in found} == {here}
        pieces = [piece async for piece in CityOut.select(cities).astream(chunk_size=5)]
        streamed = msgspec.json.decode(b"".join(pieces))
        assert [one["name"] for one in streamed] == [name for name, _ in expected]
        assert {one["thread"] for one in streamed} == {here}
        both = await asyncio.gather(*(CityOut.select(cities).aget(name="City 3") for _ in range(5)))
        assert all(one == both[0] for one in both)
        lines = CityOut.select(cities).astream("jsonl", chunk_size=1)
        assert msgspec.json.decode(await anext(lines))["name"] == expected[0][0]
        await lines.aclose()  # type: ignore[attr-defined]

    run(use())


def test_writes_in_the_callers_transaction(loop_alias: str) -> None:
    count = Country.objects.using(loop_alias).count()

    async def use() -> None:
        with contextlib.suppress(ZeroDivisionError):
            async with transaction.atomic(using=loop_alias):  # type: ignore[attr-defined]
                await CityIn("Lost", "PK").acreate(using=loop_alias)
                assert await CityOut.select(City.objects.using(loop_alias)).acount() == 13
                1 / 0  # noqa: B018
        made = await CityIn("Kept", "PK").acreate(using=loop_alias)
        await CityIn("Renamed", "PK").aupdate(made)

    run(use())
    names = City.objects.using(loop_alias).values_list("name", flat=True)
    assert "Lost" not in names
    assert "Renamed" in names
    assert count == Country.objects.using(loop_alias).count()


# --- compiled queries -----------------------------------------------------------------------


class CountryOut(Shape, model=Country):
    code: str
    continent: Continent


class SisterOut(Shape, model=City, rename="camel"):
    city_name: str = field(source="name")
    country: CountryOut


class FlatOut(Shape, model=City):
    name: str
    motto: str | None
    facts: dict[str, Any]
    changed: dt.datetime
    twice: int = field(expr=F("population") * 2)
    country: CountryOut
    sister: SisterOut | None


def test_a_compiled_shapes_json_is_made_in_c(
    loop_alias: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    @compiled(shape=FlatOut)
    def in_country(country: str):  # type: ignore[no-untyped-def]
        return City.objects.using(loop_alias).filter(country__code=country).order_by("pk")

    expected = {}
    for code in ("PK", "JP", "FR", "ZZ"):
        cities = City.objects.using(loop_alias).filter(country__code=code)
        expected[code] = FlatOut.select(cities.order_by("pk")).all()

    async def use() -> None:
        for code, objects in expected.items():
            assert await in_country(code) == objects
            found = await in_country.json(code)
            assert msgspec.json.decode(found, type=list[FlatOut]) == objects
            assert found == msgspec.json.encode(objects)

    monkeypatch.setattr(Statement, "run", None)  # Django's connection is not asked
    loop = asyncio.SelectorEventLoop(Poller())
    try:
        loop.run_until_complete(use())
    finally:
        loop.close()
    assert in_country._statement("PK").has_plan


def test_a_compiled_shape_with_to_many_fields(loop_alias: str) -> None:
    @compiled(shape=CityOut)
    def in_country(country: str):  # type: ignore[no-untyped-def]
        return City.objects.using(loop_alias).filter(country__code=country).order_by("pk")

    cities = City.objects.using(loop_alias).filter(country__code="JP").order_by("pk")
    expected = CityOut.select(cities).all()

    async def use() -> None:
        assert await in_country("JP") == expected
        assert await in_country.json("JP") == msgspec.json.encode(expected)

    run(use())
