"""JSON of selections is made in C of the rows, on every way to it; and through Python where that
must be: the bytes are the same."""

from __future__ import annotations

import os
import random
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import test_shape_random
import worlds
from django.db import connections
from django.db.models import F, QuerySet
from django.test.utils import CaptureQueriesContext
from shapes_app.models import Airport, City, Country, Everything, Flight, Tag

from quintette import CursorPage, OffsetPage, Page, Shape, _quintette, compiled, computed, field
from quintette.db.compiled import driver
from quintette.db.shapes import fetch


class FlightOut(Shape, model=Flight):
    number: int


class AirportOut(Shape, model=Airport):
    iata: str
    departures: list[FlightOut]


class TagOut(Shape, model=Tag):
    label: str
    parent__label: str | None


class CountryOut(Shape, model=Country):
    name: str
    cities: list[NameOut] = field(queryset=lambda cities: cities.order_by("-name")[:2])


class NameOut(Shape, model=City):
    name: str


class CityOut(Shape, model=City, rename="camel"):
    city_name: str = field(source="name")
    motto: str | None
    country: CountryOut
    airports: list[AirportOut] = field(source="airport_set")
    tags: tuple[TagOut, ...]
    twins__name: list[str]


class FlatOut(Shape, model=City):
    name: str
    twice: int = field(expr=F("population") * 2)
    country__name: str


class NotesOut(Shape, model=City):
    """By keys whose types differ: Python's."""

    notes__text: list[str]


class ComputedOut(FlatOut):
    @computed
    def shown(self) -> str:
        return self.name.upper()


class EverythingOut(Shape, model=Everything):
    flag: bool
    whole: int
    real: float
    data: bytes
    key: Any
    span: Any
    document: Any


STATM = Path("/proc/self/statm")
encode_lines = msgspec.json.Encoder().encode_lines
IN_C: list[type[Shape]] = [FlatOut, CityOut]


@pytest.fixture
def no_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any) -> Any:
        raise AssertionError("Python has made objects of the rows")

    monkeypatch.setattr(fetch, "objects", refuse)


def expected_of(shape: type[Shape], queryset: QuerySet[Any]) -> list[Any]:
    """By way of the objects, before they are refused."""
    made: list[Any] = msgspec.to_builtins(shape.select(queryset).all())
    return made


@pytest.fixture
def cities(using: str) -> QuerySet[City]:
    worlds.make(using, seed=5)
    return City.objects.using(using).order_by("name")


@pytest.fixture
def expected(cities: QuerySet[City]) -> dict[type[Shape], list[Any]]:
    return {shape: expected_of(shape, cities) for shape in IN_C}


@pytest.mark.parametrize("shape", IN_C)
def test_all(cities: Any, expected: Any, no_objects: None, shape: type[Shape]) -> None:
    assert any(city["airports"] and city["tags"] for city in expected[CityOut])
    assert shape.select(cities).json() == msgspec.json.encode(expected[shape])
    assert shape.select(cities[2:5]).json() == msgspec.json.encode(expected[shape][2:5])
    assert shape.select(cities.none()).json() == b"[]"
    assert shape.select(cities.filter(name="x")).json() == b"[]"
    plain = cities.order_by()
    either = plain.filter(name="City 1").union(plain.filter(name="City 2"))
    assert NameOut.select(either.order_by("name")).json() == (
        b'[{"name":"City 1"},{"name":"City 2"}]'
    )


@pytest.mark.parametrize("shape", IN_C)
@pytest.mark.parametrize("size", [1, 5, 12, 100])
def test_streams(
    cities: Any, expected: Any, no_objects: None, shape: type[Shape], size: int
) -> None:
    selected: Any = shape.select(cities)
    pieces = list(selected.stream(chunk_size=size))
    assert len(pieces) == -(-12 // size) + 1
    assert b"".join(pieces) == msgspec.json.encode(expected[shape])
    lines = list(selected.stream("jsonl", chunk_size=size))
    assert b"".join(lines) == encode_lines(expected[shape])
    assert b"".join(shape.select(cities.none()).stream()) == b"[]"


@pytest.mark.parametrize("server_side", [True, False])
def test_a_stream_that_is_left(
    cities: Any, using: str, monkeypatch: pytest.MonkeyPatch, server_side: bool
) -> None:
    settings = connections[using].settings_dict
    monkeypatch.setitem(settings, "DISABLE_SERVER_SIDE_CURSORS", not server_side)
    stream: Any = NameOut.select(cities).stream("jsonl", chunk_size=5)
    assert next(stream).count(b"\n") == 5
    stream.close()
    if connections[using].vendor == "postgresql":
        with connections[using].cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_cursors")
            assert cursor.fetchone() == (0,)
    assert len(list(NameOut.select(cities).stream("jsonl", chunk_size=5))) == 3


@pytest.mark.parametrize("shape", IN_C)
def test_pages(cities: Any, expected: Any, no_objects: None, shape: type[Shape]) -> None:
    rows, selected = expected[shape], shape.select(cities)
    pages: list[tuple[bytes, Any]] = [
        (selected.page_json(2, 5), Page(rows[5:10], 2, 5, 12, True)),
        (selected.page_json(3, 5, total=False), Page(rows[10:], 3, 5, None, False)),
        (selected.page_json(9, 5), Page([], 9, 5, 12, False)),
        (selected.offset_json(3, 4), OffsetPage(rows[3:7], 3, 4, 12, True)),
        (selected.offset_json(8, 4), OffsetPage(rows[8:], 8, 4, 12, False)),
        (shape.select(cities.none()).page_json(), Page([], 1, 50, 0, False)),
        (selected.first_json(), rows[0]),
        (shape.select(cities.filter(name="City 3")).get_json(), rows[5]),
    ]
    for got, page in pages:
        assert got == msgspec.json.encode(page)
    assert shape.select(cities.filter(name="x")).first_json() == b"null"


@pytest.mark.parametrize("shape", IN_C)
def test_cursors(cities: Any, shape: type[Shape], monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside those of objects, until the end."""
    order = cities.order_by("motto", "-population", "changed")
    selected, after = shape.select(order), None
    for _ in range(5):
        page: CursorPage[Any] = selected.cursor(after, 3, total=True)
        with monkeypatch.context() as patch:
            patch.delattr(fetch, "objects")
            assert selected.cursor_json(after, 3, total=True) == msgspec.json.encode(page)
        after = page.next
        if after is None:
            break
    assert after is None
    assert shape.select(cities.none()).cursor_json() == b'{"items":[],"next":null,"total":null}'


def test_only_one(cities: Any, no_objects: None) -> None:
    with pytest.raises(City.DoesNotExist, match="City matching query does not exist"):
        NameOut.select(cities.none()).get_json()
    with pytest.raises(City.MultipleObjectsReturned, match="returned 12!"):
        NameOut.select(cities).get_json()


def test_queries(cities: Any, using: str) -> None:
    """As many as for objects, and none for a field of which no row has a key."""
    for ask in (lambda selected: selected.all(), lambda selected: selected.json()):
        with CaptureQueriesContext(connections[using]) as seen:
            ask(CityOut.select(cities))
        assert len(seen) == 6
        with CaptureQueriesContext(connections[using]) as seen:
            ask(CityOut.select(cities.filter(name="nowhere")))
        assert len(seen) == 1


def test_keys_that_are_not_numbers(using: str) -> None:
    """Texts with whatever an array's or JSON's syntax gives a meaning to."""
    for code in ('"', "\\", "{}", ",", "é", "'", "%s", "\n"):
        country = Country.objects.using(using).create(code=code, name=f"of {code}", continent="AS")
        City.objects.using(using).create(name=f"in {code}", country=country)
    countries = Country.objects.using(using).order_by("code")
    expected = expected_of(CountryOut, countries)
    assert all(len(country["cities"]) == 1 for country in expected)
    assert CountryOut.select(countries).json() == msgspec.json.encode(expected)


@pytest.mark.parametrize("shape", [NotesOut, ComputedOut])
def test_through_python(cities: Any, shape: type[Shape]) -> None:
    rows = shape.select(cities).all()
    selected = shape.select(cities)
    assert selected.json() == msgspec.json.encode(rows)
    assert b"".join(selected.stream("jsonl", chunk_size=5)) == encode_lines(rows)
    assert b"".join(selected.stream(chunk_size=5)) == msgspec.json.encode(rows)
    page: Any = Page(rows[5:10], 2, 5, 12, True)
    assert selected.page_json(2, 5) == msgspec.json.encode(page)
    assert msgspec.json.decode(selected.cursor_json(None, 5))["items"] == msgspec.to_builtins(
        rows[:5]
    )


def test_a_value_that_no_plan_foresees(using: str) -> None:
    """A row with a number beyond 64 bits is Python's, the chunks beside it are not."""
    for whole in (1, 2, 3):
        Everything.objects.using(using).create(whole=whole, document={"n": 10**30 * (whole == 2)})
    rows = Everything.objects.using(using).order_by("whole")
    expected = [{"whole": one.whole, "document": one.document} for one in rows]

    class Out(Shape, model=Everything):
        whole: int
        document: Any

    got = b"".join(Out.select(rows).stream(chunk_size=1))
    assert msgspec.json.decode(got) == expected
    assert msgspec.json.decode(Out.select(rows).json()) == expected


def test_every_type(using: str) -> None:
    Everything.objects.using(using).create()
    rows = Everything.objects.using(using)
    assert EverythingOut.select(rows).json() == msgspec.json.encode(
        EverythingOut.select(rows).all()
    )


def test_without_the_drivers_libpq(cities: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "pg_results", lambda: None)
    assert CityOut.select(cities).json() == msgspec.json.encode(CityOut.select(cities).all())
    assert len(list(CityOut.select(cities).stream(chunk_size=6))) == 3


@pytest.mark.parametrize("seed", range(30))
def test_random_shapes(using: str, seed: int) -> None:
    worlds.make(using, seed)
    chance = random.Random(seed)
    model: Any = chance.choice([City, Country, Tag, Airport])
    made = test_shape_random.make(chance, model)
    rows = model.objects.using(using).order_by(chance.choice(["pk", "-pk"]))
    expected = [made.expected(one) for one in rows]
    assert made.shape.select(rows).json() == msgspec.json.encode(expected)
    pieces = made.shape.select(rows).stream("jsonl", chunk_size=chance.randrange(1, 9))
    assert b"".join(pieces) == encode_lines(expected)


# --- compiled queries in a transaction -------------------------------------------------------


def test_compiled_in_a_transaction(
    cities: Any, expected: Any, no_objects: None, using: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    @compiled(shape=CityOut)
    def named(least: str):  # type: ignore[no-untyped-def]
        return City.objects.using(using).filter(name__gte=least).order_by("name")

    wanted = [one for one in expected[CityOut] if one["cityName"] >= "City 4"]
    for _ in range(2):
        with CaptureQueriesContext(connections[using]) as seen:
            assert named.json("City 4").get() == msgspec.json.encode(wanted)
        assert len(seen) == 6
    assert named.json("zz").get() == b"[]"
    Tag.objects.using(using).create(label="0 in here").cities.add(cities[11])
    assert b"0 in here" in named.json("City 4").get()


# --- many ------------------------------------------------------------------------------------


def fill(using: str, countries: int, cities: int) -> None:
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {})"
    with connections[using].cursor() as cursor:
        cursor.execute(
            f"{numbers.format(countries)} INSERT INTO shapes_app_tag (label)"
            " SELECT 'tag' || i FROM n"
        )
        cursor.execute(
            f"{numbers.format(cities)} INSERT INTO shapes_app_tag (label, parent_id)"
            f" SELECT 'child' || i, (SELECT min(id) FROM shapes_app_tag) + i % {countries} FROM n"
        )


class ChildOut(Shape, model=Tag):
    label: str


class ParentOut(Shape, model=Tag):
    label: str
    children: list[ChildOut]


class PlainOut(Shape, model=Tag):
    label: str
    id: int


def resident_kb() -> int:
    """Of this process, now. (Its highest so far may be an earlier test's.)"""
    return int(STATM.read_text().split()[1]) * resource.getpagesize() // 1024


@pytest.mark.slow
@pytest.mark.skipif(not STATM.exists(), reason="Linux tells what memory a process has")
@pytest.mark.skipif(
    "libasan" in os.environ.get("LD_PRELOAD", ""),
    reason="AddressSanitizer keeps freed memory for a while",
)
@pytest.mark.parametrize(("shape", "parents"), [(PlainOut, 1_000_000), (ParentOut, 200_000)])
def test_a_stream_takes_no_more_memory_for_more_rows(
    using: str, shape: type[Shape], parents: int
) -> None:
    """Of the process, as C's memory is not Python's to trace. Beside 5 children for each parent."""
    fill(using, parents, 5 * parents if shape is ParentOut else 1)
    rows = Tag.objects.using(using).filter(parent=None).order_by("id")
    seen = children = early = late = 0
    for piece in shape.select(rows).stream("jsonl"):
        seen += piece.count(b"\n")
        children += piece.count(b'{"label":"child')
        if not early and seen >= parents // 20:
            early = resident_kb()
        late = max(late, resident_kb())
    assert (seen, children) == (parents, 5 * parents if shape is ParentOut else 0)
    assert late - early < 16_000  # KB; all rows would take some hundred MB


@pytest.mark.slow
def test_more_than_a_million_children(using: str) -> None:
    """In one answer, and under one parent."""
    fill(using, 1, 1_000_100)
    parents = Tag.objects.using(using).filter(parent=None)
    assert ParentOut.select(parents).json().count(b'{"label":"child') == 1_000_100

    @compiled(shape=ParentOut)
    def all_of_them():  # type: ignore[no-untyped-def]
        return Tag.objects.using(using).filter(parent=None)

    assert all_of_them.json().get().count(b'{"label":"child') == 1_000_100


def test_rows_say_what_is_wrong(using: str) -> None:
    layout = _quintette.Statement(
        None, "x", False, False, 0, b"", (), ((1, False, False, False, -1, 0),), ((0, "", 0),)
    )
    rows = _quintette.Rows(layout, [(1,), (2,), (None,)])
    assert (rows.json(()), rows.lines(()), rows.keys(0), len(rows)) == (
        b"[1,2,null]", b"1\n2\nnull\n", "[1,2]", 3,
    )  # fmt: skip
    assert rows.part(1, 9).all() == [(2,), (None,)]
    assert rows.part(2, 3).keys(0) is None
    assert _quintette.Rows(layout, [(1.5,)]).keys(0) is NotImplemented
    wrong: list[tuple[type[Exception], Callable[[], Any]]] = [
        (IndexError, lambda: rows.keys(1)),
        (IndexError, lambda: rows.keys(-1)),
        (IndexError, lambda: rows.part(4, 9)),
        (TypeError, lambda: rows.json([])),  # type: ignore[arg-type]
        (TypeError, lambda: rows.json((1,))),  # type: ignore[arg-type]
        (TypeError, lambda: _quintette.Rows(layout, ())),  # type: ignore[arg-type]
    ]
    for kind, call in wrong:
        with pytest.raises(kind):
            call()
