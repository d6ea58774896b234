"""A compiled function gives what the function itself gives when Django runs its queryset."""

import datetime as dt
import decimal
import enum
import uuid
from typing import Annotated, Literal

import msgspec
import pytest
from compiled_models import City, Country
from django.db import connections
from django.db.models import Case, Count, Exists, F, Max, OuterRef, Q, Sum, Value, When
from django.db.models.functions import Coalesce, Concat, Lower, Substr, TruncMonth
from django.utils import timezone

import quintette.db.sqlite3.base  # noqa: F401 (which has ways of its own to fetch)
from quintette.db.compiled import CompileError, compiled

UTC = dt.UTC
USING = "default"


@pytest.fixture(autouse=True)
def using(alias):
    global USING
    USING = alias


def cities():
    return City.objects.using(USING).order_by("id")


class Order(enum.Enum):
    NAME = "name"
    POPULATION = "population"


# --- functions, each with the calls that are compared -------------------------------------


def exact(name: str):
    return cities().filter(name=name)


def related(code: str, limit: int = 2):
    return cities().filter(country__code=code).order_by("-population")[:limit]


def contains(q: str):
    return cities().filter(name__contains=q)


def icontains(q: str):
    return cities().filter(name__icontains=q)


def iexact(q: str):
    return cities().filter(name__iexact=q)


def starts(q: str):
    return cities().filter(Q(name__startswith=q) | Q(name__iendswith=q))


def regex(q: str):
    return cities().filter(name__regex=q)


def number_as_text(n: int):
    return cities().filter(population__contains=n)


def many(ids: list[int], names: list[str]):
    return cities().filter(Q(id__in=ids) | Q(name__in=names))


def not_many(ids: set[int]):
    return cities().exclude(id__in=ids)


def many_values(uids: list[uuid.UUID], dates: list[dt.date]):
    return cities().filter(Q(uid__in=uids) | Q(founded__in=dates))


def many_related(ids: list[int]):
    return cities().filter(country__in=ids)


def some(first: int, second: int):
    return cities().filter(id__in=[first, second, 3])


def between(low: int, high: int):
    return cities().filter(population__range=(low, high))


def dates(day: dt.date):
    return cities().filter(founded__gte=day)


def moments(at: dt.datetime):
    return cities().filter(seen__lt=at)


def on_day(day: dt.date):
    return cities().filter(seen__date=day)


def in_year(year: int):
    return cities().filter(Q(founded__year=year) | Q(seen__year__gt=year + 8))


def in_month(month: int):
    return cities().filter(founded__month=month)


def times(at: dt.time, took: dt.timedelta):
    return cities().filter(opens__gt=at, took__gt=took)


def prices(price: decimal.Decimal):
    return cities().filter(price__gte=price)


def floats(area: float):
    return cities().filter(area__lt=area, population__gte=area)


def flag(capital: bool):
    return cities().filter(capital=capital)


def by_uid(uid: uuid.UUID):
    return cities().filter(uid=uid)


def raw(raw: bytes):
    return cities().filter(raw=raw)


def address(ip: str):
    return cities().filter(ip=ip)


def shouted(name: str):
    return cities().filter(shouted=name)


def in_json(value: str):
    return cities().filter(data__a__2=value)


def arithmetic(more: int, factor: float):
    return cities().annotate(
        next=F("population") + more, scaled=F("population") * factor, more=Value(more)
    )


def choice(threshold: int, label: str):
    return (
        cities()
        .annotate(
            size=Case(When(population__gt=threshold, then=Value("big")), default=Value(label))
        )
        .values("name", "size")
    )


def functions(fallback: str, start: int):
    return cities().values_list(
        Coalesce("country__code", Value(fallback)),
        Substr("name", start),
        Lower("name"),
        Concat("name", Value(fallback)),
    )


def grouped(more: int):
    return (
        cities()
        .order_by()
        .annotate(key=F("country_id") + more)
        .values("key")
        .annotate(n=Count("id"), last=Max("founded"))
        .order_by("key")
    )


def having(least: int):
    rows = cities().order_by("country_id").values("country_id")
    return rows.annotate(n=Count("id")).filter(n__gte=least)


def inner(name: str, n: int):
    big = City.objects.using(USING).filter(country=OuterRef("pk"), name__contains=name)
    return (
        Country.objects.using(USING)
        .filter(Exists(big), pk__in=cities().filter(population__gt=n).values("country")[:n])
        .order_by("pk")
    )


def union(a: int, b: int):
    return cities().order_by().filter(id=a).union(cities().order_by().filter(id=b)).order_by("id")


def page(number: int, size: int = 3):
    return cities()[(number - 1) * size : number * size]


def offset(skip: int):
    return cities()[skip:]


def optional(code: str | None = None, least: int | None = None, capital: bool | None = None):
    found = cities()
    if code is not None:
        found = found.filter(country__code=code)
    if least is not None:
        found = found.filter(population__gte=least)
    if capital is not None:
        found = found.filter(capital=capital)
    return found


def nullable(code: str | None):
    return cities().filter(country__code=code)


def ordered(order: Order, down: bool = False, kind: Literal["a", "b"] = "a"):
    found = cities().order_by(("-" if down else "") + order.value, "id")
    return found if kind == "a" else found.values("id")


def sorted_by_case(first: int):
    return cities().order_by(Case(When(id=first, then=0), default=1), "id")


def joined(code: str):
    return cities().select_related("country").filter(Q(country__code=code) | Q(country=None))


def deferred(n: int):
    return cities().only("name", "country__code").select_related("country").filter(id__lt=n)


def flat(n: int):
    return cities().filter(id__lte=n).values_list("population", flat=True)


def named(n: int):
    return cities().filter(id__lte=n).values_list("population", "name", named=True)


def every_value(n: int):
    return cities().filter(id__gte=n).values()


def truncated(n: int):
    return cities().filter(id__lte=n).annotate(month=TruncMonth("seen")).values("id", "month")


def constrained(n: Annotated[int, msgspec.Meta(le=5)]):
    return cities()[:n]


def nothing(n: int):
    return cities().none().filter(id=n)


NAME = "Ci_ty 3% é \\ \"quoted\" '3'"
CALLS = [
    (exact, [NAME], ["nobody"], [""]),
    (related, ["PK"], ["DE", 1], ["PK", 0], ["XX", 100]),
    (contains, ["i_t"], ["3%"], ["\\"], ["ixt"], [""]),
    (icontains, ["CI_"], ["3% "]),
    (iexact, [NAME.lower()], ["%"]),
    (starts, ["Ci_"], ["'3'"], ["_"]),
    (regex, ["^Ci.*4"], ["zz"]),
    (number_as_text, [30], [-1]),
    (many, [[1, 2], [NAME]], [[], []], [[], [NAME, "{x}", 'a"b', "\\", "NULL", ""]]),
    (not_many, [{1, 2, 3}], [set()]),
    (many_values, [[uuid.UUID(int=3 << 64)], [dt.date(1995, 2, 28)]], [[], []]),
    (many_related, [[1]], [[1, 2, 3]], [[]]),
    (some, [1, 2]),
    (between, [0, 3000], [3000, 0]),
    (dates, [dt.date(1995, 2, 28)]),
    (moments, [dt.datetime(2005, 5, 1, 23, 59, 59, 5000, UTC)]),
    (on_day, [dt.date(2004, 5, 1)]),
    (in_year, [1995], [1990]),
    (in_month, [2], [3]),
    (times, [dt.time(3), dt.timedelta(days=5)]),
    (prices, [decimal.Decimal("1.25")], [decimal.Decimal(2)]),
    (floats, [2.5], [1e9]),
    (flag, [True], [False]),
    (by_uid, [uuid.UUID(int=4 << 64)]),
    (raw, [b"\x03\xff\x00"]),
    (address, ["10.0.0.1"], ["2001:db8::1"]),
    (shouted, ["NAME 3"], ["name 4"]),
    (in_json, ["é"], ["x"]),
    (arithmetic, [5, 1.5], [-(1 << 30), -0.5]),
    (choice, [2000, "small"]),
    (functions, ["--", 4]),
    (grouped, [10]),
    (having, [1], [5]),
    (inner, ["3", 1], ["", 100]),
    (union, [1, 2]),
    (page, [1], [2, 5], [99]),
    (offset, [10], [0]),
    (optional, [], ["PK"], [None, 2000], ["DE", 0, False], [None, None, True]),
    (nullable, ["PK"], [None]),
    (ordered, [Order.NAME], [Order.POPULATION, True], [Order.NAME, False, "b"]),
    (sorted_by_case, [5]),
    (joined, ["PK"]),
    (deferred, [4]),
    (flat, [5]),
    (named, [5]),
    (every_value, [1]),
    (truncated, [3]),
    (constrained, [2]),
    (nothing, [2]),
]


def cases():
    for function, *calls in CALLS:
        for number, call in enumerate(calls):
            yield pytest.param(function, call, id=f"{function.__name__}-{number}")


def state_of(value):
    """Everything that was read of an instance."""
    if not hasattr(value, "_state"):
        return value
    state = {key: state_of(item) for key, item in vars(value).items() if key != "_state"}
    cached = {key: state_of(item) for key, item in value._state.fields_cache.items()}
    return type(value), state, cached, value._state.db, value._state.adding


@pytest.mark.parametrize(("function", "call"), list(cases()))
def test_same_objects(function, call):
    query = compiled(function)
    expected = list(function(*call))
    for _ in range(2):
        got = query(*call).get()
        assert [state_of(item) for item in got] == [state_of(item) for item in expected]
        assert [type(item) for item in got] == [type(item) for item in expected]


def plain(value):
    """An instance as the JSON of a compiled query has it."""
    if not hasattr(value, "_state"):
        return value
    members = {key: item for key, item in vars(value).items() if key != "_state"}
    return members | {key: plain(item) for key, item in value._state.fields_cache.items()}


@pytest.mark.parametrize(("function", "call"), list(cases()))
def test_same_json(function, call):
    query = compiled(function)
    expected = [plain(item) for item in function(*call)]
    got = msgspec.json.decode(query.json(*call).get())
    assert got == msgspec.json.decode(msgspec.json.encode(expected))


# --- single results ------------------------------------------------------------------------


def one(pk: int):
    return cities().select_related("country").get(pk=pk)


def first(code: str):
    return cities().filter(country__code=code).first()


def last(code: str):
    return cities().filter(country__code=code).last()


def count(q: str):
    return cities().filter(name__contains=q).count()


def count_sliced(n: int):
    return cities()[:n].count()


def count_distinct(n: int):
    return cities().filter(id__gt=n).values("country").distinct().count()


def exists(q: str):
    return cities().filter(name__contains=q).exists()


def total(n: int):
    return cities().filter(id__gt=n).aggregate(total=Sum("population"), last=Max("founded"))


def total_more(n: int):
    return cities().aggregate(total=Sum(F("population") + n))


def first_of_all():
    return cities().first()


def first_of_values():
    return cities().values("id", "name").first()


def nobody(ids: list[int]):
    return cities().none().filter(id__in=ids).count()


SINGLE = [
    (one, [3]), (first, ["PK"]), (first, ["XX"]), (last, ["PK"]), (count, ["_"]), (count, ["zz"]),
    (count_sliced, [5]), (count_distinct, [0]), (exists, ["_"]), (exists, ["zz"]), (total, [2]),
    (total, [100]), (total_more, [7]), (nobody, [[1]]), (first_of_all, []), (first_of_values, []),
]  # fmt: skip


@pytest.mark.parametrize(("function", "call"), SINGLE)
def test_same_single_result(function, call):
    expected = function(*call)
    query = compiled(function)
    assert state_of(query(*call).get()) == state_of(expected)
    encoded = msgspec.json.encode(plain(expected))
    assert msgspec.json.decode(query.json(*call).get()) == msgspec.json.decode(encoded)


def several(code: str):
    return cities().get(country__code=code)


@pytest.mark.parametrize("pending", [lambda q, a: q(a), lambda q, a: q.json(a)])
def test_get_of_none_and_of_several(pending):
    with pytest.raises(City.DoesNotExist, match="matching query does not exist"):
        pending(compiled(one), 999).get()
    with pytest.raises(City.MultipleObjectsReturned, match="more than one City"):
        pending(compiled(several), "PK").get()


# --- shapes --------------------------------------------------------------------------------


class CountryOut(msgspec.Struct):
    code: str
    label: str = msgspec.field(name="name")


class CountryCode(msgspec.Struct, rename="camel"):
    code: str


class CityOut(msgspec.Struct):
    name: str
    population: int
    shouted: str
    country: CountryCode | None


def test_shape_reads_only_its_columns():
    query = compiled(shape=CityOut)(related)
    expected = [
        CityOut(city.name, city.population, city.shouted, CountryCode(city.country.code))
        for city in related("PK").select_related("country")
    ]
    assert query("PK").get() == expected
    assert query.json("PK").get() == msgspec.json.encode(expected)
    assert "area" not in query._statement("PK").python.sql.text("?")


def test_shape_whose_relation_is_null():
    query = compiled(shape=CityOut)(nullable)
    assert {city.country for city in query(None).get()} == {None}


def typed(code: str) -> list[CityOut]:
    return cities().filter(country__code=code)


def typed_one(pk: int) -> CityOut:
    return cities().filter(pk=pk)


def typed_maybe(pk: int) -> CityOut | None:
    return cities().filter(pk=pk)


def test_shape_by_the_annotated_result():
    assert {type(city) for city in compiled(typed)("PK").get()} == {CityOut}
    assert type(compiled(typed_one)(3).get()) is CityOut
    with pytest.raises(City.DoesNotExist):
        compiled(typed_one)(999).get()
    assert compiled(typed_maybe)(999).get() is None


class Counted(msgspec.Struct):
    country_id: int | None
    n: int


def test_shape_over_values():
    def grouped(n: int):
        rows = cities().order_by().filter(id__gt=n).values("country_id")
        return rows.annotate(n=Count("id")).order_by("country_id")

    query = compiled(shape=Counted)(grouped)
    assert query(3).get() == [Counted(**row) for row in grouped(3)]


class Misfit(msgspec.Struct):
    name: str
    colour: str


def test_shape_that_does_not_fit():
    with pytest.raises(CompileError, match=r"Misfit does not fit.*colour"):
        compiled(shape=Misfit)(exact)("x")


# --- what a variant is ----------------------------------------------------------------------


def test_one_statement_per_combination_of_none():
    query = compiled(optional)
    for call in ([], ["PK"], ["DE"], ["PK", 3], [None, None, True], [None, None, False]):
        query(*call)
    assert len(query._variants) == 4


def test_bool_is_one_statement_until_it_is_looked_at():
    by_column, by_code = compiled(flag), compiled(ordered)
    assert by_column._statement(True) is by_column._statement(False)
    assert by_code._statement(Order.NAME, True) is not by_code._statement(Order.NAME)


def test_one_statement_for_lists_of_any_length():
    query = compiled(many)
    assert query._statement([1], []) is query._statement([], ["a"] * 50)


def test_time_zone_is_part_of_the_statement():
    query = compiled(on_day)
    day = dt.date(2004, 5, 2)
    with timezone.override("Asia/Tokyo"):
        expected = list(on_day(day))
        assert expected
        assert query(day).get() == expected
    assert query(day).get() == list(on_day(day)) == []


# --- limits ---------------------------------------------------------------------------------


def test_negative_bounds_are_refused_as_slices_do():
    for call in ([0], [-1, 5]):
        with pytest.raises(ValueError, match="Negative indexing"):
            compiled(page)(*call).get()


def test_no_query_runs_but_one():
    with connections[USING].execute_wrapper(_count) as counted:
        del counted
        _STATEMENTS.clear()
        compiled(related)("PK").get()
    assert len(_STATEMENTS) == 1


_STATEMENTS = []


def _count(execute, sql, params, many, context):
    _STATEMENTS.append(sql)
    return execute(sql, params, many, context)
