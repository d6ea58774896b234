"""On an event loop a compiled query runs on connections of our own, with equal results."""

import asyncio
import datetime as dt

import msgspec
import pytest
import test_compiled_queries as queries
from asgiref.sync import async_to_sync
from compiled_models import City, Country, ShoutedField
from django.db import DataError, transaction
from django.db.models import DateTimeField, F, Value
from django.db.models.functions import Cast, TruncDate
from test_compiled_queries import SINGLE, cases, cities, optional, plain, related, state_of

from quintette import _quintette
from quintette.db.compiled import compiled
from quintette.db.compiled.statement import Statement


@pytest.fixture(autouse=True)
def using(alias):
    queries.USING = alias


@pytest.fixture(scope="module")
def loop():
    loop = asyncio.SelectorEventLoop(_quintette.Poller())
    yield loop
    loop.close()


@pytest.fixture
def django_is_not_asked(alias, monkeypatch):
    """Django's own connection would be an error."""

    def refuse(*args):
        raise AssertionError("a query ran on Django's connection")

    monkeypatch.setattr(Statement, "run", refuse)


# SQLite knows these functions on Django's connections alone.
NEEDS_DJANGO = {"regex", "in_month", "on_day", "truncated", "nothing"}


def on_both(function, call, alias):
    query = compiled(function)
    own = alias == "compiled_postgresql" and function.__name__ != "nothing"
    own = own or function.__name__ not in NEEDS_DJANGO
    return query, own


@pytest.mark.parametrize(("function", "call"), list(cases()))
def test_same_objects(function, call, loop, alias, monkeypatch):
    expected = list(function(*call))
    query, own = on_both(function, call, alias)
    if own:
        monkeypatch.setattr(Statement, "run", None)
    got = loop.run_until_complete(awaited(query(*call)))
    assert [state_of(item) for item in got] == [state_of(item) for item in expected]
    assert [type(item) for item in got] == [type(item) for item in expected]


@pytest.mark.parametrize(("function", "call"), list(cases()))
def test_same_json(function, call, loop, alias, monkeypatch):
    expected = [plain(item) for item in function(*call)]
    query, own = on_both(function, call, alias)
    if own:
        monkeypatch.setattr(Statement, "run", None)
    got = loop.run_until_complete(awaited(query.json(*call)))
    assert msgspec.json.decode(got) == msgspec.json.decode(msgspec.json.encode(expected))


async def awaited(pending):
    return await pending


@pytest.mark.parametrize(("function", "call"), SINGLE)
def test_same_single_result(function, call, loop):
    expected = function(*call)
    query = compiled(function)
    assert state_of(loop.run_until_complete(awaited(query(*call)))) == state_of(expected)
    encoded = msgspec.json.encode(plain(expected))
    got = loop.run_until_complete(awaited(query.json(*call)))
    assert msgspec.json.decode(got) == msgspec.json.decode(encoded)


@pytest.mark.parametrize("as_json", [False, True])
def test_get_of_none_and_of_several(as_json, loop):
    def run(function, argument):
        query = compiled(function)
        pending = query.json(argument) if as_json else query(argument)
        return loop.run_until_complete(awaited(pending))

    with pytest.raises(City.DoesNotExist, match="matching query does not exist"):
        run(queries.one, 999)
    with pytest.raises(City.MultipleObjectsReturned, match="more than one City"):
        run(queries.several, "PK")


def test_json_in_c(loop, django_is_not_asked):
    """Every column of these has an encoder, so that no row becomes a Python object."""
    query = compiled(lambda_of_all)
    got = loop.run_until_complete(awaited(query.json(0)))
    assert query._statement(0).has_plan
    assert got == msgspec.json.encode(list(lambda_of_all(0)))


def lambda_of_all(n: int):
    return cities().filter(id__gt=n).values(
        "id", "name", "population", "big", "area", "price", "capital", "founded", "seen", "opens",
        "took", "uid", "data", "raw", "ip", "country",
    )  # fmt: skip


def test_many_at_once(loop, django_is_not_asked):
    query = compiled(related)

    async def main():
        pending = [query(code, n) for n in range(1, 6) for code in ("PK", "DE", "XX", "PK")]
        return await asyncio.gather(*pending)

    expected = [list(related(code, n)) for n in range(1, 6) for code in ("PK", "DE", "XX", "PK")]
    assert loop.run_until_complete(main()) == expected


@pytest.mark.postgresql
def test_error_is_djangos_and_stays_with_its_query(loop, postgresql_alias):
    queries.USING = postgresql_alias
    wrong, right = compiled(divided), compiled(related)

    async def main():
        return await asyncio.gather(
            right("PK", 1), wrong(0), right("DE", 1), return_exceptions=True
        )

    first, error, second = loop.run_until_complete(main())
    assert first == list(related("PK", 1))
    assert second == list(related("DE", 1))
    assert isinstance(error, DataError)
    assert "division by zero" in str(error)
    assert type(error.__cause__).__name__ == "DivisionByZero"


def divided(n: int):
    return cities().annotate(x=F("population") / n).values("x")


def test_inside_a_transaction_it_sees_its_data(alias, loop):
    """An open transaction in the same context: the query runs on its connection."""
    from django.db import transaction

    query = compiled(optional)
    del loop
    with transaction.atomic(using=alias):
        country = Country.objects.using(alias).create(code="FR", name="France")
        City.objects.using(alias).create(name="Paris", population=1, country=country)
        assert [city.name for city in query("FR").get()] == ["Paris"]
        transaction.set_rollback(True, using=alias)
    assert query("FR").get() == []


@pytest.mark.parametrize("by_hand", [False, True])
def test_on_the_loop_inside_a_transaction(alias, loop, by_hand, monkeypatch):
    """Django's engines do not allow that without DJANGO_ALLOW_ASYNC_UNSAFE; ours do."""
    from django.db import transaction

    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
    query = compiled(optional)
    ran = []
    monkeypatch.setattr(Statement, "elsewhere", lambda self, pending: noted(ran, pending))

    async def main():
        if by_hand:
            transaction.set_autocommit(False, using=alias)
            await query("FR")
            transaction.set_autocommit(True, using=alias)
        else:
            with transaction.atomic(using=alias):
                await query("FR")
        return await query("FR")

    assert loop.run_until_complete(main()) == []
    assert len(ran) == 1  # the one inside


async def noted(ran, pending):
    ran.append(pending)
    return []


def test_cancelled(loop, alias):
    query = compiled(related)

    async def main():
        task = asyncio.ensure_future(awaited(query("PK")))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return await query("PK")

    assert loop.run_until_complete(main()) == list(related("PK"))


def test_another_loop(alias):
    """Without our poller: SQLite at once, PostgreSQL in a thread."""
    query = compiled(related)
    expected = list(related("PK"))

    async def main():
        return await query("PK")

    assert asyncio.run(main()) == expected


def by_date(day: dt.date):
    return cities().annotate(day=TruncDate("seen")).filter(day=day).values("id", "day")


def test_function_of_djangos_on_sqlite(loop):
    query = compiled(by_date)
    day = dt.date(2003, 5, 1)
    expected = list(by_date(day))
    assert expected
    for _ in range(2):
        assert loop.run_until_complete(awaited(query(day))) == expected


def test_a_loop_of_async_to_sync_sees_its_callers_transaction(alias):
    @compiled
    def named(name: str):
        return City.objects.using(alias).filter(name=name).values_list("name", flat=True)

    async def names():
        return await named("Newtown")

    with transaction.atomic(using=alias):
        City.objects.using(alias).create(name="Newtown", population=1)
        assert async_to_sync(names)() == ["Newtown"]
        transaction.set_rollback(True, using=alias)
    assert async_to_sync(names)() == []


@pytest.mark.postgresql
def test_a_projects_code_cancels_the_task_whose_rows_it_makes(loop, postgresql_alias, monkeypatch):
    """It runs inside the connection's callback, which goes on with the run afterwards."""
    waiting = []

    def cancels(self, value, expression, connection):
        waiting[0].cancel()
        return value

    monkeypatch.setattr(ShoutedField, "from_db_value", cancels)

    @compiled
    def shouted():
        return City.objects.using(postgresql_alias).values_list("shouted", flat=True)

    async def main():
        waiting.append(asyncio.create_task(awaited(shouted())))
        with pytest.raises(asyncio.CancelledError):
            await waiting[0]
        assert waiting.pop().cancelled()
        waiting.append(asyncio.create_task(asyncio.sleep(0)))
        assert await shouted()

    loop.run_until_complete(main())


@pytest.mark.postgresql
def test_durations_that_64_bits_do_not_hold(loop, postgresql_alias):
    @compiled
    def longer(than: dt.timedelta):
        found = City.objects.using(postgresql_alias).filter(took__gt=than)
        return found.values_list("took", flat=True)

    assert loop.run_until_complete(awaited(longer(-dt.timedelta(days=10**8))))
    for than in (dt.timedelta.max, dt.timedelta.min):
        with pytest.raises(OverflowError, match="64 bits"):
            loop.run_until_complete(awaited(longer(than)))


@pytest.mark.postgresql
def test_moments_at_infinity(loop, postgresql_alias):
    """PostgreSQL's least 64-bit number. Python has no such moment, nor has psycopg."""

    @compiled
    def first():
        infinity = Cast(Value("-infinity"), DateTimeField())
        found = City.objects.using(postgresql_alias).annotate(never=infinity)
        return found.values_list("never", flat=True)

    with pytest.raises(ValueError, match="Python cannot hold"):
        loop.run_until_complete(awaited(first()))
