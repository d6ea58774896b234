"""The pipelined connections of compiled queries: settings, figures, the end."""

import asyncio
import gc
import os
import time

import pytest
import test_compiled_queries as queries
from compiled_models import City, add_database, fill, settings_of
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connections
from django.db.models import Count, F, FloatField, Func, OuterRef, Subquery, Value
from test_compiled_queries import cities

from quintette import _quintette
from quintette.db import pool
from quintette.db.compiled import compiled, drain, pools, stats
from quintette.db.compiled.statement import Statement

NAME = f"compiled pools {os.getpid()}"
SECONDS = 60


def test_options():
    options = pools.parse_options("default", {"size": 2, "timeout": 0.0001, "max_idle": 60})
    assert options.described() == {
        "connections_max": 2,
        "timeout_msec": 1,
        "connect_timeout_msec": 5000,
        "waiting_max": 4096,
        "idle_msec": 60_000,
        "lifetime_msec": 3_600_000,
        "prepared_max": 256,
    }


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"size": 0}, r"\['compiled_pool'\]: Expected `int` >= 1 - at `\$.size`"),
        ({"timeout": "5"}, r"Expected `float`, got `str` - at `\$.timeout`"),
        ({"max_lifetime": -1}, r"- at `\$.max_lifetime`"),
        ({"max_prepared": 1}, r"- at `\$.max_prepared`"),
        ({"pool_size": 3}, r"unknown field `pool_size`"),
        (True, r"DATABASES\['default'\]\['OPTIONS'\]\['compiled_pool'\]: Expected `object`"),
    ],
)
def test_errors_name_the_key(value, words):
    with pytest.raises(ImproperlyConfigured, match=words):
        pools.parse_options("default", value)


# --- with a server ----------------------------------------------------------------------


@pytest.fixture
def database(postgresql_alias):
    """Our engine with options of its own; its sessions are known by their application_name."""
    alias = "compiled_pools"

    def made(**options):
        settings = settings_of("compiled_postgresql", None)
        options = {"application_name": NAME, "compiled_pool": options}
        settings = {**settings, "ENGINE": "quintette.db.postgresql", "OPTIONS": options}
        add_database(alias, settings)
        queries.USING = alias
        return alias

    yield made
    connections[alias].close()
    del connections[alias], connections.settings[alias]


@pytest.fixture
def loop():
    loop = asyncio.SelectorEventLoop(_quintette.Poller())
    yield loop
    loop.close()


def by_id(low: int):
    return cities().filter(id__gt=low).values_list("id", flat=True)


def sessions():
    with connections["compiled_postgresql"].cursor() as cursor:
        cursor.execute("SELECT pid FROM pg_stat_activity WHERE application_name = %s", [NAME])
        return {pid for (pid,) in cursor.fetchall()}


def wait_until_gone():
    end = time.monotonic() + SECONDS
    while left := sessions():
        assert time.monotonic() < end, left
        time.sleep(0.01)


@pytest.mark.postgresql
def test_size(database, loop):
    database(size=2)
    query = compiled(by_id)

    async def main():
        await asyncio.gather(*[query(n % 5) for n in range(200)])
        return stats()

    figures = loop.run_until_complete(main())["compiled_pools"]
    assert 1 <= len(sessions()) <= 2
    assert 1 <= figures.connections + figures.connecting <= 2
    assert figures.queries == 200
    assert figures.waiting == figures.in_flight == 0


@pytest.mark.postgresql
def test_timeout(database, loop):
    database(timeout=0.01)

    async def main():
        with pytest.raises(DatabaseError):
            await compiled(slow)(1)
        return stats()["compiled_pools"].timeouts

    assert loop.run_until_complete(main()) == 1


def slow(low: int):
    nap = Func(Value(0.5), function="pg_sleep", template="(%(function)s(%(expressions)s)::text)")
    nap.output_field = FloatField()
    return cities().filter(id=low).annotate(nap=nap).values_list("nap")


@pytest.mark.postgresql
def test_wrong_options_are_told(database, loop):
    database(size="many")

    async def main():
        await compiled(by_id)(1)

    with pytest.raises(ImproperlyConfigured, match=r"\['compiled_pool'\].*size"):
        loop.run_until_complete(main())


@pytest.mark.postgresql
@pytest.mark.parametrize("end", [drain, pool.drain])
def test_drain_right_behind_a_result(end, database, loop):
    database()
    query = compiled(by_id)

    async def main():
        assert await query(0)
        await end()
        assert stats() == {}

    loop.run_until_complete(main())
    wait_until_gone()

    async def again():
        return await query(0)

    assert loop.run_until_complete(again())


@pytest.mark.postgresql
def test_drain_with_a_query_under_way(database, loop):
    database()

    async def main():
        task = asyncio.ensure_future(waiting(compiled(slow)(1)))
        await until_sent()
        await drain()
        with pytest.raises(DatabaseError):
            await task

    loop.run_until_complete(main())
    wait_until_gone()


async def waiting(pending):
    return await pending


async def until_sent():
    for _ in range(100_000):
        await asyncio.sleep(0)
        figures = stats().get("compiled_pools")
        if figures is not None and figures.in_flight:
            return
    pytest.fail("the query was not sent")


@pytest.mark.postgresql
def test_closed_with_its_loop(database):
    database()
    query = compiled(by_id)
    loop = asyncio.SelectorEventLoop(_quintette.Poller())
    assert loop.run_until_complete(waiting(query(0)))
    assert sessions()
    loop.close()
    wait_until_gone()  # although the query, which is still there, knows the pool


@pytest.mark.postgresql
def test_a_loop_is_closed_under_a_query(database):
    database()
    loop = asyncio.SelectorEventLoop(_quintette.Poller())

    async def begin():
        task = asyncio.ensure_future(waiting(compiled(slow)(1)))
        await until_sent()
        return task

    task = loop.run_until_complete(begin())
    loop.close()
    wait_until_gone()
    assert not task.done()
    task._log_destroy_pending = False


@pytest.mark.postgresql
def test_closed_with_a_test_database(database, loop):
    alias = database()
    assert loop.run_until_complete(waiting(compiled(by_id)(0)))
    assert sessions()
    connections[alias].close_pool()
    wait_until_gone()


@pytest.mark.postgresql
@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_a_child_leaves_its_parents_sessions_alone(database, loop):
    database()
    query = compiled(by_id)
    expected = loop.run_until_complete(waiting(query(0)))
    before = sessions()
    child = os.fork()
    if not child:
        status = 1
        try:
            loop.close()
            own = asyncio.SelectorEventLoop(_quintette.Poller())
            same = own.run_until_complete(waiting(query(0))) == expected
            own.run_until_complete(pool.drain())
            own.close()
            gc.collect()
            status = 0 if same else 2
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    assert loop.run_until_complete(waiting(query(0))) == expected
    assert sessions() == before


# --- SQLite -----------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path):
    alias = "compiled_file"

    def made(engine, **options):
        settings = settings_of("compiled_sqlite", tmp_path / "db.sqlite3")
        add_database(alias, {**settings, "ENGINE": engine, "OPTIONS": options})
        fill(alias)
        queries.USING = alias
        return str(tmp_path / "db.sqlite3")

    yield made
    connections[alias].close()
    del connections[alias], connections.settings[alias]


def open_files(name):
    return sum(
        os.path.realpath(f"/proc/self/fd/{fd}") == name for fd in os.listdir("/proc/self/fd")
    )


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts descriptors in /proc")
def test_files_are_closed(file, loop):
    name = file("django.db.backends.sqlite3")
    connections["compiled_file"].close()
    query = compiled(by_id)
    assert loop.run_until_complete(waiting(query(0)))
    assert open_files(name) == 1
    loop.run_until_complete(pool.drain())
    assert open_files(name) == 0
    assert loop.run_until_complete(waiting(query(0)))


@pytest.mark.parametrize(("budget_ms", "ran_in_python"), [(1000, False), (0.001, True)])
def test_read_budget(budget_ms, ran_in_python, file, loop, monkeypatch):
    file("quintette.db.sqlite3", read_budget_ms=budget_ms)
    run, ran = Statement.run, []
    monkeypatch.setattr(Statement, "run", lambda *args: ran.append(1) or run(*args))
    loop.run_until_complete(waiting(compiled(crossed)(0)))
    assert bool(ran) is ran_in_python


def crossed(low: int):
    """Enough for SQLite to look at the clock."""
    pairs = City.objects.using(queries.USING).filter(id__gte=OuterRef("low"))
    return cities().filter(id__gt=low).annotate(low=F("id")).annotate(
        n=Subquery(pairs.order_by().values("capital").annotate(n=Count("id")).values("n")[:1])
    ).values_list("n")  # fmt: skip
