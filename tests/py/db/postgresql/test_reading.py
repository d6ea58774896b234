"""Rows that are read without a cursor: when they are, when not, and that nobody can tell."""

from __future__ import annotations

import asyncio
import datetime as dt
import decimal
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from django.contrib.postgres.fields import ArrayField
from django.db import OperationalError, ProgrammingError, connections, models, transaction
from django.db.backends.signals import connection_created
from django.db.backends.utils import CursorWrapper
from django.test import override_settings
from pg_things import Thing, Things, sql

from quintette.concurrency import run as in_greenlet
from quintette.db import pool, statements
from quintette.db.postgresql import reading
from quintette.db.watch import recorded, slow

pytestmark = pytest.mark.postgresql
Admin = psycopg.Connection[Any]
Run = Callable[[Any], Any]
Task = Callable[[], Any]


class Sort(models.Model):
    """A column of each type."""

    truth = models.BooleanField(null=True)
    small = models.SmallIntegerField(null=True)
    big = models.BigIntegerField(null=True)
    real = models.FloatField(null=True)
    price = models.DecimalField(max_digits=12, decimal_places=4, null=True)
    text = models.TextField(null=True)
    data = models.BinaryField(null=True)
    day = models.DateField(null=True)
    time = models.TimeField(null=True)
    moment = models.DateTimeField(null=True)
    span = models.DurationField(null=True)
    code = models.UUIDField(null=True)
    tree = models.JSONField(null=True)
    address = models.GenericIPAddressField(null=True)
    numbers = ArrayField(models.IntegerField(null=True), null=True)

    class Meta:
        app_label = "pg_reading"


SORT = {
    "truth": True,
    "small": -32768,
    "big": 2**63 - 1,
    "real": 0.1,
    "price": decimal.Decimal("-12345678.5000"),
    "text": "50% of 'ü'\\ %s",
    "data": b"\0\xff",
    "day": dt.date(1, 1, 1),
    "time": dt.time(23, 59, 59, 999999),
    "moment": dt.datetime(2026, 2, 28, 12, 30, 0, 1, tzinfo=dt.UTC),
    "span": dt.timedelta(days=-3, microseconds=1),
    "code": uuid.UUID(int=7),
    "tree": {"a": [1, None, "ü"]},
    "address": "2001:db8::1",
    "numbers": [1, None, -3],
}


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What reading.rows() has given, call by call. No SQL is kept of earlier tests."""
    statements.forget()
    given: list[Any] = []
    rows = reading.rows

    def kept(*args: Any) -> Any:
        given.append(rows(*args))
        return given[-1]

    monkeypatch.setattr(reading, "rows", kept)
    return given


async def in_tasks(*calls: Task) -> list[Any]:
    """One after another, each in a task of its own."""
    return [await asyncio.create_task(in_greenlet(call)) for call in calls]


def ordered() -> list[str]:
    return list(Things.order_by("id").values_list("name", flat=True))


def fill() -> None:
    Things.bulk_create([Thing(name="a"), Thing(name="b")])


# --- it is read here


def test_a_read_holds_no_connection(run: Run, answers: list[Any]) -> None:
    def read() -> int:
        assert ordered() == ["a", "b"]
        return pool.stats()["pg"].in_use

    # The first one has its SQL written and its session set up, by Django.
    assert run(in_tasks(fill, read, read, read))[1:] == [1, 0, 0]
    assert answers[-1] == [("a",), ("b",)]


def test_in_a_transaction_its_own_rows_are_seen(run: Run, answers: list[Any]) -> None:
    def within() -> list[str]:
        with transaction.atomic(using="pg"):
            Things.create(name="c")
            found = ordered()
            transaction.set_rollback(True, using="pg")
        return found

    assert run(in_tasks(fill, ordered, within, ordered))[2:] == [["a", "b", "c"], ["a", "b"]]
    assert answers[-2] == [("a",), ("b",), ("c",)]


def test_what_the_task_has_set_in_its_session_holds(run: Run, answers: list[Any]) -> None:
    def within() -> list[str]:
        sql("CREATE TEMP TABLE thing (id int, name text, n int)")
        sql("INSERT INTO thing VALUES (1, 'temporary')")
        return ordered()

    assert run(in_tasks(fill, ordered, within, ordered))[2:] == [["temporary"], ["a", "b"]]


@pytest.mark.parametrize("name", ["50%", "%s", "it's", "back\\slash", "ü\n", ""])
def test_parameters_arrive_as_they_are(run: Run, answers: list[Any], name: str) -> None:
    def read() -> list[int]:
        return list(Things.filter(name=name).values_list("n", flat=True))

    assert run(in_tasks(lambda: Things.create(name=name, n=-5), read, read))[1:] == [[-5], [-5]]
    assert answers[-1] == [(-5,)]


def test_one_row_and_none(run: Run, answers: list[Any]) -> None:
    def read() -> tuple[Any, Any]:
        return Things.filter(name="a").exists(), Things.filter(name="z").first()

    assert run(in_tasks(fill, read, read, read))[1:] == [(True, None)] * 3


@pytest.fixture
def sorts(pg: dict[str, Any]) -> Iterator[Any]:
    with connections["pg"].schema_editor() as editor:
        editor.create_model(Sort)
    yield Sort._default_manager.using("pg")
    with connections["pg"].schema_editor() as editor:
        editor.delete_model(Sort)


def test_values_are_those_of_the_driver(
    sorts: Any, run: Run, answers: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    sorts.create(**SORT)
    sorts.create()

    def read() -> list[dict[str, Any]]:
        return list(sorts.order_by("id").values(*SORT))

    _, found = run(in_tasks(read, read))
    assert isinstance(answers[-1], list)
    monkeypatch.setattr(reading, "serves", lambda wrapper: False)
    [expected] = run(in_tasks(read))
    assert found == expected == [SORT, dict.fromkeys(SORT)]
    assert [[*map(type, row.values())] for row in found] == [
        [*map(type, row.values())] for row in expected
    ]


def test_slow_ones_are_logged(
    run: Run, answers: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    def read() -> int:
        assert list(Things.filter(name="a").values_list("name", flat=True)) == ["a"]
        return pool.stats()["pg"].in_use

    with override_settings(QUINTETTE={"SLOW_QUERY_MS": 0}):
        run(in_tasks(fill, read))
        slow.planner.join()
        caplog.clear()
        assert run(in_tasks(read, read)) == [0, 0]
        slow.planner.join()
    assert answers[-1] == [("a",)]
    logged = [
        record.getMessage() for record in caplog.records if record.name == "quintette.db.slow"
    ]
    assert len(logged) == 2
    assert all('FROM "thing" WHERE "thing"."name" = ' in message for message in logged)


# --- it is not


def test_recorded_ones(run: Run, answers: list[Any]) -> None:
    def read() -> list[str]:
        with recorded() as record:
            ordered()
        return [query.sql for query in record.queries]

    run(in_tasks(fill, read))
    known = len(answers)
    [seen] = run(in_tasks(read))
    assert len(seen) == 1
    assert answers[known:] == [None]


def patched_cursor(monkeypatch: pytest.MonkeyPatch, seen: list[str]) -> None:
    execute = CursorWrapper.execute

    def traced(self: Any, query: Any, params: Any = None) -> Any:
        seen.append(query)
        return execute(self, query, params)

    monkeypatch.setattr(CursorWrapper, "execute", traced)


def test_an_agent_sees_each_query(
    run: Run, answers: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    run(in_tasks(fill, ordered))
    patched_cursor(monkeypatch, seen)
    run(in_tasks(ordered, ordered))
    assert [query.split()[0] for query in seen] == ["SELECT", "SELECT"]


def test_execute_wrappers_and_debug_cursors_see_each_query(run: Run, answers: list[Any]) -> None:
    def wrapped() -> int:
        seen: list[str] = []

        def note(execute: Any, query: str, *rest: Any) -> Any:
            seen.append(query)
            return execute(query, *rest)

        with connections["pg"].execute_wrapper(note):
            ordered()
        return len(seen)

    def logged() -> int:
        connections["pg"].force_debug_cursor = True
        ordered()
        return len(connections["pg"].queries)

    assert run(in_tasks(fill, ordered, wrapped, logged))[2:] == [1, 1]


def test_who_listens_to_connections_sees_each(run: Run, answers: list[Any]) -> None:
    seen: list[Any] = []

    def made(connection: Any, **kwargs: Any) -> None:
        seen.append(connection)

    run(in_tasks(fill, ordered, ordered))
    connection_created.connect(made)
    try:
        run(in_tasks(ordered, ordered))
    finally:
        connection_created.disconnect(made)
    assert len(seen) == 2


def test_a_loader_of_the_projects_is_used(run: Run, answers: list[Any]) -> None:
    class Shouting(psycopg.adapt.Loader):
        def load(self, data: Any) -> str:
            return bytes(data).decode().upper()

    def within() -> list[str]:
        connections["pg"].ensure_connection()
        connections["pg"].connection.adapters.register_loader("text", Shouting)
        return ordered()

    assert run(in_tasks(fill, ordered, within, ordered))[2:] == [["A", "B"], ["a", "b"]]


# --- it goes wrong


def test_errors_are_djangos(run: Run, answers: list[Any], beside: Admin) -> None:
    run(in_tasks(fill, ordered, ordered))
    beside.execute("ALTER TABLE thing RENAME COLUMN name TO title")
    with pytest.raises(ProgrammingError, match=r"column thing\.name does") as caught:
        run(in_tasks(ordered, ordered))
    assert isinstance(caught.value.__cause__, psycopg.errors.UndefinedColumn)


def test_a_closed_connection_is_replaced(run: Run, answers: list[Any], beside: Admin) -> None:
    async def scenario() -> Any:
        await in_tasks(fill, ordered, ordered)
        beside.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return await in_tasks(ordered, ordered)

    assert run(scenario()) == [["a", "b"], ["a", "b"]]


def test_a_cancelled_read_leaves_a_connection_that_works(
    run: Run, answers: list[Any], beside: Admin
) -> None:
    async def scenario() -> Any:
        await in_tasks(fill, ordered, ordered)
        with beside.transaction():
            beside.execute("LOCK TABLE thing IN ACCESS EXCLUSIVE MODE")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await asyncio.create_task(in_greenlet(ordered))
        return await in_tasks(ordered), pool.stats()["pg"].opened

    assert run(scenario()) == ([["a", "b"]], 1)


def test_a_statement_that_takes_too_long(run: Run, answers: list[Any], beside: Admin) -> None:
    def limited() -> None:
        sql("SET statement_timeout = 50")
        ordered()

    async def scenario() -> None:
        await in_tasks(fill, ordered, ordered)
        with beside.transaction():
            beside.execute("LOCK TABLE thing IN ACCESS EXCLUSIVE MODE")
            await in_tasks(limited)

    with pytest.raises(OperationalError, match="statement timeout"):
        run(scenario())
