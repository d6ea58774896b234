"""Ways to take a selection: one, pages, streams, JSON; and each of them asynchronously."""

import tracemalloc
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import worlds
from asgiref.sync import async_to_sync
from django.db import connections
from django.db.models import Count, F
from django.test.utils import CaptureQueriesContext
from shapes_app.models import Airport, City, Tag

from quintette.db.shapes import CursorError, PageError, Shape, ShapeError, field


class AirportOut(Shape, model=Airport):
    iata: str


class CityOut(Shape, model=City):
    name: str
    population: int
    airports: list[AirportOut] = field(source="airport_set")


class TagOut(Shape, model=Tag):
    label: str


def everything(queryset: Any) -> list[CityOut]:
    return [
        CityOut(one.name, one.population, [AirportOut(a.iata) for a in one.airport_set.all()])
        for one in queryset
    ]


def as_json(found: Any) -> list[Any]:
    return [msgspec.to_builtins(one) for one in found]


def test_one_of_them(using: str) -> None:
    worlds.make(using)
    cities = City.objects.using(using)
    selected = CityOut.select(cities)
    (third,) = everything(cities.filter(name="City 3"))
    assert selected.get(name="City 3") == third
    assert CityOut.select(cities.filter(name="City 3")).get() == third
    with pytest.raises(City.DoesNotExist, match="City matching query does not exist"):
        selected.get(name="nowhere")
    with pytest.raises(City.MultipleObjectsReturned, match="returned 12!"):
        selected.get()
    assert selected.first() == everything(cities[:1])[0]
    assert CityOut.select(cities.none()).first() is None
    assert selected[2] == everything(cities[2:3])[0]
    assert selected[2:4].all() == everything(cities[2:4])
    assert (selected.count(), selected.exists(), len(selected)) == (12, True, 12)
    assert not CityOut.select(cities.none())
    assert not CityOut.select(cities.none()).exists()
    assert selected[3] == selected.all()[3]
    for wrong in (lambda: selected[-1], lambda: selected[::2]):
        with pytest.raises(ValueError, match=r"negative|step"):
            wrong()
    assert repr(selected) == "<Selection of CityOut: City>"


def test_is_evaluated_once(using: str) -> None:
    worlds.make(using)
    selected = CityOut.select(City.objects.using(using))
    with CaptureQueriesContext(connections[using]) as seen:
        assert not selected._result
        assert list(selected) == list(selected) == selected.all()
        assert selected.count() == 12
        assert selected.exists()
        selected.json()
    assert len(seen) == 2


def test_json_and_streams(using: str) -> None:
    worlds.make(using)
    cities = City.objects.using(using)
    expected = as_json(everything(cities))
    selected = CityOut.select(cities)
    assert msgspec.json.decode(selected.json()) == expected
    for size in (1, 5, 12, 100):
        pieces = list(selected.stream(chunk_size=size))
        assert len(pieces) == -(-12 // size) + 1
        assert msgspec.json.decode(b"".join(pieces)) == expected
        lines = b"".join(selected.stream("jsonl", chunk_size=size))
        assert [msgspec.json.decode(line) for line in lines.splitlines()] == expected
        assert list(selected.iterator(chunk_size=size)) == everything(cities)
    nothing = CityOut.select(cities.none())
    assert (nothing.json(), b"".join(nothing.stream())) == (b"[]", b"[]")
    assert b"".join(nothing.stream("jsonl")) == b""
    with pytest.raises(ValueError, match="not 'xml'"):
        selected.stream("xml")  # type: ignore[arg-type]


def test_a_streams_queries_do_not_grow_with_its_rows(using: str) -> None:
    worlds.make(using)
    with CaptureQueriesContext(connections[using]) as seen:
        list(CityOut.select(City.objects.using(using)).stream(chunk_size=6))
    # Airports for each chunk; PostgreSQL's rows come through a cursor, which is not recorded.
    assert sum("airport" in query["sql"] for query in seen) == 2


# --- pages ---------------------------------------------------------------------------------


def test_pages_by_number_and_by_offset(using: str) -> None:
    worlds.make(using)
    cities = City.objects.using(using).order_by("pk")
    selected, expected = CityOut.select(cities), everything(cities)
    with CaptureQueriesContext(connections[using]) as seen:
        page = selected.page(2, 5)
    assert len(seen) == 3
    assert (page.items, page.page, page.size, page.total, page.has_next) == (
        expected[5:10], 2, 5, 12, True,
    )  # fmt: skip
    last = selected.page(3, 5, total=False)
    assert (last.items, last.total, last.has_next) == (expected[10:], None, False)
    assert selected.page(9, 5).items == []
    window = selected.offset(3, 4)
    assert (window.items, window.offset, window.limit, window.total, window.has_next) == (
        expected[3:7], 3, 4, 12, True,
    )  # fmt: skip
    unordered = CityOut.select(cities.order_by())
    assert unordered.page(1, 12).items == expected
    for wrong in (
        lambda: selected.page(0),
        lambda: selected.page(1, 0),
        lambda: selected.page(1, 10_001),
        lambda: selected.offset(-1),
    ):
        with pytest.raises(PageError):
            wrong()


ORDERS: list[Any] = [
    lambda cities: cities,
    lambda cities: cities.order_by("pk"),
    lambda cities: cities.order_by("-pk"),
    lambda cities: cities.order_by("motto"),
    lambda cities: cities.order_by("-motto", "population"),
    lambda cities: cities.order_by(F("motto").asc(nulls_first=True), "-name"),
    lambda cities: cities.order_by(F("motto").desc(nulls_last=True)),
    lambda cities: cities.order_by("country__name", "motto", "-population"),
    lambda cities: cities.order_by("motto", "-name").reverse(),
    lambda cities: cities.order_by("sister_id"),
    lambda cities: cities.order_by("mayor__name"),
    lambda cities: cities.order_by("mayor__pk"),
    lambda cities: cities.order_by("changed"),
    lambda cities: cities.annotate(twice=F("population") * 2).order_by("twice"),
    lambda cities: cities.order_by(),
]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("size", [1, 5, 12])
def test_a_cursor_visits_each_row_once_in_order(
    using: str, order: Callable[[Any], Any], size: int
) -> None:
    worlds.make(using, 9)
    cities = order(City.objects.using(using))
    selected = CityOut.select(cities)
    found, after, pages = [], None, 0
    while True:
        page = selected.cursor(after, size)
        found += page.items
        pages += 1
        assert pages <= 12
        if page.next is None:
            break
        after = page.next
    assert pages == 12 // size + bool(12 % size)
    assert sorted(one.name for one in found) == sorted(one.name for one in cities)
    keys = [one.name for one in cities.order_by(*cities.query.order_by, "pk")]
    if cities.query.standard_ordering and cities.query.order_by not in ((), ("-pk",)):
        ordering = cities.query.order_by
        descending = str(ordering[-1]).startswith("-") or getattr(ordering[-1], "descending", False)
        keys = [one.name for one in cities.order_by(*ordering, "-pk" if descending else "pk")]
        assert [one.name for one in found] == keys


def test_a_cursor_holds_while_rows_come_and_go(using: str) -> None:
    worlds.make(using)
    cities = City.objects.using(using).order_by("name")
    selected = CityOut.select(cities)
    names = [one.name for one in cities]
    page = selected.cursor(size=4, total=True)
    assert page.total == 12
    cities.filter(name__in=names[:6]).delete()
    assert [one.name for one in selected.cursor(page.next, 4).items] == names[6:10]


def test_cursors_that_are_refused(using: str) -> None:
    worlds.make(using)
    cities = City.objects.using(using)
    cursor = CityOut.select(cities).cursor(size=1).next
    assert cursor is not None
    for order in (cities.order_by("pk"), cities.order_by("population", "name")):
        with pytest.raises(CursorError, match="not of this query"):
            CityOut.select(order).cursor(cursor)
    for wrong in ("", "x", cursor[:-2], cursor + "AA", "é", "A" * 5000):
        with pytest.raises(CursorError):
            CityOut.select(cities).cursor(wrong)
    for queryset in (
        cities.order_by("?"),
        cities.order_by("tags__label"),
        cities.order_by("country"),
        cities.order_by(F("population") + 1),
        cities.annotate(n=Count("tags")).order_by("n"),
        cities.all()[:3],
    ):
        with pytest.raises(ShapeError, match="cursor"):
            CityOut.select(queryset).cursor()


# --- asynchronous twins ----------------------------------------------------------------------


def test_asynchronous_twins(using: str) -> None:
    worlds.make(using)
    cities = City.objects.using(using).order_by("pk")
    expected = everything(cities)

    async def use() -> None:
        selected = CityOut.select(cities)
        assert await selected == expected
        assert [one async for one in CityOut.select(cities)] == expected
        assert [one async for one in CityOut.select(cities).aiterator(5)] == expected
        assert await selected.aget(name="City 3") == expected[3]
        assert await selected.afirst() == expected[0]
        assert (await selected.acount(), await selected.aexists()) == (12, True)
        assert msgspec.json.decode(await selected.ajson()) == as_json(expected)
        pieces = [piece async for piece in selected.astream(chunk_size=5)]
        assert msgspec.json.decode(b"".join(pieces)) == as_json(expected)
        assert (await selected.apage(2, 5)).items == expected[5:10]
        assert (await selected.aoffset(3, 4)).items == expected[3:7]
        page = await selected.acursor(size=5)
        assert (await selected.acursor(page.next, 5)).items == expected[5:10]
        lines = selected.astream("jsonl", chunk_size=1)
        async for line in lines:
            assert msgspec.json.decode(line) == as_json(expected)[0]
            break
        await lines.aclose()  # type: ignore[attr-defined]

    async_to_sync(use)()


# --- memory --------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_million_rows_in_flat_memory(using: str) -> None:
    rows = 1_000_000
    with connections[using].cursor() as cursor:
        numbers = (
            f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows}) "
            "INSERT INTO shapes_app_tag (label) SELECT 'tag' || i FROM n"
        )
        cursor.execute(numbers)
    selected = TagOut.select(Tag.objects.using(using).order_by())
    seen = size = 0
    tracemalloc.start()
    try:
        peak_early = 0
        for piece in selected.stream("jsonl"):
            seen += piece.count(b"\n")
            size += len(piece)
            if not peak_early and seen >= rows // 20:
                peak_early = tracemalloc.get_traced_memory()[1]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert seen == rows
    assert size > 20 * rows
    assert peak < peak_early * 1.2 < 20_000_000
