"""The log of slow queries: what it says, how often it asks for a plan, and where."""

import logging
import re

import pytest
from django.db import connections, transaction
from django.test import override_settings
from watch_app.models import City, Country
from watch_forms import on_loop

from quintette.db.compiled import compiled
from quintette.db.watch import plans, slow

ROWS = plans.LARGE_TABLE_ROWS + 1000


@pytest.fixture(autouse=True)
def planner(monkeypatch):
    """One that has planned nothing yet."""
    made = slow.Planner()
    monkeypatch.setattr(slow, "planner", made)
    return made


@pytest.fixture
def records(caplog, planner):
    """What was logged, once all plans are there."""

    def logged():
        planner.join()
        return [r for r in caplog.records if r.name == "quintette.db.slow"]

    return logged


@pytest.fixture
def slow_after():
    def settings(msec, **others):
        return override_settings(QUINTETTE={"SLOW_QUERY_MS": msec}, **others)

    return settings


@pytest.fixture
def large(alias):
    """Many cities of one country."""
    country = Country.objects.using(alias).create(name="large")
    cities = City.objects.using(alias)
    cities.bulk_create(City(name=f"l{n}", country=country) for n in range(ROWS))
    if connections[alias].vendor == "postgresql":
        with connections[alias].cursor() as cursor:
            cursor.execute("ANALYZE")
    yield country
    cities.filter(country=country).delete()
    country.delete()


def test_log_with_plan_and_types(queries_of, alias, slow_after, records):
    with slow_after(0):
        queries_of(lambda: list(City.objects.using(alias).filter(name="city 1")))
    [record] = [r for r in records() if "city" in r.getMessage() and "SELECT" in r.getMessage()]
    text = record.getMessage()
    assert re.match(r"Slow query: \d+ ms at ", text)
    assert "test_watch_slow.py:" in text
    assert "parameters: str\n" in text
    assert "city 1" not in text
    assert "\nplan:\n  " in text
    assert ("Seq Scan" in text) or ("SCAN" in text)
    assert (record.database, record.levelno) == (alias, logging.WARNING)


def test_values_in_development(watch_sqlite, slow_after, records):
    with slow_after(0, DEBUG=True):
        list(City.objects.using(watch_sqlite).filter(name="city 1"))
    assert any("parameters: 'city 1'" in r.getMessage() for r in records())


def test_quick_queries_are_not_logged(queries_of, alias, slow_after, records):
    with slow_after(60_000):
        queries_of(lambda: list(City.objects.using(alias)))
    assert records() == []


def test_one_plan_a_minute(watch_sqlite, slow_after, records, monkeypatch):
    def with_plan():
        return sum("\nplan:" in r.getMessage() for r in records())

    with slow_after(0):
        for number in range(5):
            City.objects.using(watch_sqlite).filter(pk=number).exists()
        assert (len(records()), with_plan()) == (5, 1)
        monkeypatch.setattr(slow, "PLAN_SECONDS", 0.0)
        City.objects.using(watch_sqlite).filter(pk=6).exists()
    assert (len(records()), with_plan()) == (6, 2)


def test_planned_texts_are_bounded(planner, monkeypatch):
    monkeypatch.setattr(slow, "TEXTS_MAX", 3)
    assert all(planner._is_due(f"SELECT {number}") for number in range(10))
    assert list(planner._planned) == ["SELECT 7", "SELECT 8", "SELECT 9"]


def test_transaction_goes_on_as_it_was(alias, slow_after, records):
    """The plan is made elsewhere, where the open transaction's rows are unknown."""
    with slow_after(0), transaction.atomic(using=alias):
        City.objects.using(alias).filter(name="city 1").update(name="renamed")
        assert City.objects.using(alias).filter(name="renamed").count() == 1
        planned = records()
        assert City.objects.using(alias).filter(name="renamed").count() == 1
        transaction.set_rollback(True, using=alias)
    assert any("UPDATE" in r.getMessage() for r in planned)
    assert City.objects.using(alias).filter(name="city 1").count() == 1


def test_compiled_queries(alias, slow_after, records, monkeypatch):
    @compiled
    def by_name(name: str):
        return City.objects.using(alias).filter(name=name)

    async def code():
        await by_name("city 1")

    with slow_after(0):
        on_loop(code())
    [record] = [r for r in records() if "%(p1)s" in r.getMessage()]
    assert "by_name" in record.getMessage()
    assert "plan:" in record.getMessage()


def test_hint(large, alias, slow_after, records):
    with slow_after(0):
        list(City.objects.using(alias).filter(country=large, name="l7"))
        list(City.objects.using(alias).filter(name__contains="l7"))
        City.objects.using(alias).filter(pk=1).exists()
    hinted = [r.getMessage() for r in records() if "\nhint: " in r.getMessage()]
    assert len(hinted) == 1
    assert "watch_app_city (" in hinted[0]
    assert 'models.Index(fields=["country", "name"]) of watch_app.City' in hinted[0]


def test_hint_names_the_table_of_an_alias(large, alias):
    cities = City.objects.using(alias)
    queryset = Country.objects.using(alias).filter(cities__name="l7")
    sql, params = queryset.query.get_compiler(alias).as_sql()
    del cities
    hints = plans.explain(connections[alias], sql, params).hints
    assert len(hints) == 1
    assert 'models.Index(fields=["name"]) of watch_app.City' in hints[0]


@pytest.mark.postgresql
def test_hint_for_a_table_whose_name_must_be_quoted(watch_postgresql):
    connection = connections[watch_postgresql]
    with transaction.atomic(using=watch_postgresql), connection.cursor() as cursor:
        cursor.execute('CREATE TABLE "Large Table" (name text)')
        cursor.execute(
            'INSERT INTO "Large Table" SELECT n::text FROM generate_series(1, %s) n', [ROWS]
        )
        cursor.execute('ANALYZE "Large Table"')
        plan = plans.explain(connection, 'SELECT * FROM "Large Table" WHERE name = %s', ["x"])
        transaction.set_rollback(True, using=watch_postgresql)
    assert [hint.partition(" (")[0] for hint in plan.hints] == ["Large Table"]


@pytest.mark.parametrize(
    "sql",
    ["SELECT 1; DELETE FROM watch_app_city", "DROP TABLE watch_app_city", "BEGIN", "", "VACUUM"],
)
def test_what_is_not_explained(sql, alias):
    assert plans.explain(connections[alias], sql, None) is None
    assert City.objects.using(alias).exists()


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM watch_app_mayor",
        "UPDATE watch_app_mayor SET name = 'x'",
        "INSERT INTO watch_app_tag (word) VALUES ('x')",
    ],
)
def test_explaining_runs_nothing(sql, alias):
    from watch_app.models import Mayor, Tag

    before = (
        Mayor.objects.using(alias).filter(name="mayor 1").count(),
        Tag.objects.using(alias).count(),
    )
    plan = plans.explain(connections[alias], sql, None, read_only=True)
    assert not plan.lines or not plan.lines[0].startswith("no plan")
    after = (
        Mayor.objects.using(alias).filter(name="mayor 1").count(),
        Tag.objects.using(alias).count(),
    )
    assert before == after == (1, before[1])


def test_errors_are_told(alias):
    plan = plans.explain(connections[alias], "SELECT * FROM nowhere", None)
    assert "nowhere" in plan.lines[0]
    with transaction.atomic(using=alias):
        plans.explain(connections[alias], "SELECT * FROM nowhere", None)
        assert City.objects.using(alias).exists()


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("Filter: ((name)::text = 'it''s me'::text)", "Filter: ((name)::text = '?'::text)"),
        ("Index Cond: (id = 7)", "Index Cond: (id = ?)"),
        (
            "Filter: ((t2.n1 > '-1'::integer) AND (x < 1.5e-7))",
            "Filter: ((t2.n1 > '?'::integer) AND (x < ?))",
        ),
        ("Filter: (a = ANY ('{1,2}'::bigint[]))", "Filter: (a = ANY ('?'::bigint[]))"),
        ("Seq Scan on city  (cost=0.00..16.25 rows=2 width=134)",) * 2,
        ('no plan: invalid input for integer: "secret"', "no plan: invalid input for integer: ..."),
    ],
)
def test_values_in_plans_are_hidden(line, shown):
    assert plans.without_values([line]) == [shown]


def test_values_over_several_lines_are_hidden():
    assert plans.without_values(["Filter: (a = 'one", "two')"]) == ["Filter: (a = '?')"]
