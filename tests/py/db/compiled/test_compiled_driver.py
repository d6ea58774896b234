"""On Django's own connection a result is made in C too, of what the driver has received."""

import msgspec
import pytest
import test_compiled_queries as queries
from compiled_models import City, add_database, settings_of
from django.db import connections
from django.db.models import F, Func, TextField
from django.db.transaction import atomic
from test_compiled_loop import lambda_of_all
from test_compiled_queries import SINGLE, cases, cities, one, plain, related, state_of

from quintette.db.compiled import compiled, driver
from quintette.db.compiled.statement import Statement


@pytest.fixture(autouse=True)
def using(alias):
    queries.USING = alias


@pytest.fixture
def python_makes_no_json(monkeypatch):
    def refuse(*args):
        raise AssertionError("Python made the JSON")

    monkeypatch.setattr(Statement, "json", refuse)


def all_cities(n: int):
    return lambda_of_all(n)


def test_every_column(alias, python_makes_no_json):
    with atomic(using=alias):
        got = compiled(all_cities).json(0).get()
    assert got == msgspec.json.encode(list(all_cities(0)))


@pytest.mark.parametrize(("function", "call"), [*cases(), *SINGLE])
def test_as_through_python(function, call, alias, monkeypatch):
    query = compiled(function)
    with atomic(using=alias):
        got, objects = query.json(*call).get(), query(*call).get()
        statement = query(*call).statement.python
        monkeypatch.setattr(statement, "in_c", None)
        expected = query(*call).get()
        assert got == query.json(*call).get()
    if isinstance(expected, list):
        assert list(map(state_of, objects)) == list(map(state_of, expected))
    else:
        assert state_of(objects) == state_of(expected)


def test_sees_what_the_transaction_wrote(alias, python_makes_no_json):
    query = compiled(names)
    with atomic(using=alias):
        City.objects.using(alias).filter(id=1).update(name="renamed")
        assert query.json(1).get() == b'["renamed"]'
        connections[alias].set_rollback(True)
    assert query.json(1).get() != b'["renamed"]'


def names(id: int):
    return cities().filter(id=id).values_list("name", flat=True)


def test_execute_wrappers_see_it(alias):
    seen = []

    def wrapper(execute, sql, params, many, context):
        seen.append((sql, params))
        return execute(sql, params, many, context)

    with connections[alias].execute_wrapper(wrapper):
        compiled(names).json(1).get()
    (((sql, params)),) = seen
    assert "WHERE" in sql
    assert params == {"p1": 1}


@pytest.mark.parametrize("as_json", [False, True])
def test_get_of_none_and_of_several(as_json, alias):
    def run(function, argument):
        query = compiled(function)
        return (query.json(argument) if as_json else query(argument)).get()

    with atomic(using=alias):
        with pytest.raises(City.DoesNotExist):
            run(one, 999)
        with pytest.raises(City.MultipleObjectsReturned):
            run(queries.several, "PK")


def test_moments_that_are_no_text_in_sqlite_files(alias):
    """What a converter of sqlite3's has made an aware moment of is Python's."""
    if alias != "compiled_sqlite":
        pytest.skip("of SQLite")
    with atomic(using=alias):
        with connections[alias].cursor() as cursor:
            cursor.execute("UPDATE compiled_tests_city SET seen = '2001-02-03 04:05:06+02:00'")
        query = compiled(moments)
        assert query.json(1).get() == msgspec.json.encode(list(moments(1)))
        connections[alias].set_rollback(True)


def moments(id: int):
    return cities().filter(id=id).values_list("seen", flat=True)


def distinct_by_what_is_not_selected(limit: int):
    ordered = cities().order_by("-population").values_list("name", "capital")
    return ordered.distinct()[:limit]


def test_an_order_that_distinct_selects(alias):
    """Its terms are columns of the SQL, and no part of a row."""
    query = compiled(distinct_by_what_is_not_selected)
    expected = list(distinct_by_what_is_not_selected(3))
    with atomic(using=alias):
        assert query(3).get() == expected
        assert query.json(3).get() == msgspec.json.encode(expected)


# --- PostgreSQL -------------------------------------------------------------------------


@pytest.fixture
def postgresql(alias):
    if alias != "compiled_postgresql":
        pytest.skip("of PostgreSQL")
    return connections[alias]


def as_of_a_type_of_its_own(id: int):
    kind = Func(F("name"), template="%(expressions)s::text::xml", output_field=TextField())
    return cities().filter(id=id).annotate(kind=kind).values_list("kind", flat=True)


def test_a_type_that_only_psycopg_knows(postgresql):
    query = compiled(as_of_a_type_of_its_own)
    expected = list(as_of_a_type_of_its_own(1))
    for _ in range(2):
        assert query(1).get() == expected
        assert query.json(1).get() == msgspec.json.encode(expected)


def test_without_the_same_libpq(postgresql, monkeypatch):
    monkeypatch.setattr(driver, "pg_results", lambda: None)
    assert compiled(names).json(1).get() == msgspec.json.encode(list(names(1)))


def test_the_drivers_libpq():
    from psycopg import pq

    assert driver.pg_results().version == pq.version()


@pytest.mark.parametrize("engine", ["quintette.db.postgresql", "django.db.backends.postgresql"])
@pytest.mark.parametrize("options", [{}, {"server_side_binding": True}])
def test_engines_and_bindings(engine, options, postgresql):
    alias = "compiled_other"
    settings = settings_of("compiled_postgresql", None)
    add_database(alias, {**settings, "ENGINE": engine, "OPTIONS": options})
    queries.USING = alias
    try:
        query = compiled(related)
        expected = msgspec.json.encode([plain(item) for item in related("PK")])
        with atomic(using=alias):  # BEGIN may come with the first one
            assert query.json("PK").get() == query.json("PK").get()
        assert msgspec.json.decode(query.json("PK").get()) == msgspec.json.decode(expected)
        raw = connections[alias].connection
        with raw.pipeline():
            assert msgspec.json.decode(query.json("PK").get()) == msgspec.json.decode(expected)
    finally:
        connections[alias].close()
        del connections.settings[alias]
