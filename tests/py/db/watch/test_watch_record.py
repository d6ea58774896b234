"""What is seen: each query with its line, what is asked again, whose it is."""

import asyncio
import sys

import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from django.template import Context, Engine
from watch_app.models import COUNT, City, Country, Tag
from watch_forms import add, here, on_loop, remove

from quintette import concurrency
from quintette.db import watch
from quintette.db.compiled import compiled
from quintette.db.compiled.statement import Statement
from quintette.db.watch import lines


def line_here(offset=0):
    frame = sys._getframe(1)
    return frame.f_lineno + offset


def test_queries_are_seen_with_line_and_parameters(queries_of, alias):
    at = []

    def code():
        at.append(line_here(1))
        list(City.objects.using(alias).filter(name="city 1"))

    record = queries_of(code)
    [query] = record.queries
    assert (query.params, query.alias, query.failed) == (("city 1",), alias, False)
    assert (query.line.path, query.line.number) == (__file__, at[0])
    assert 0 < query.ms <= record.ms
    assert record.count == 1


def test_failed_queries_are_seen(queries_of, alias):
    def code():
        with pytest.raises(Exception, match="nowhere"), connections[alias].cursor() as cursor:
            cursor.execute("SELECT * FROM nowhere")

    record = queries_of(code)
    assert [(query.sql, query.failed) for query in record.queries] == [
        ("SELECT * FROM nowhere", True)
    ]


def test_duplicates_and_similar_queries(queries_of, alias):
    def code():
        for name in ("city 1", "city 1", "city 2"):
            list(City.objects.using(alias).filter(name=name))

    record = queries_of(code)
    assert (record.count, record.duplicates, record.similar) == (3, 1, 2)
    assert record.in_loops() == []


def test_asynchronous_orm_has_the_line_of_its_coroutine(alias):
    async def code():
        line = line_here(2)
        with watch.recorded() as record:
            await City.objects.using(alias).acount()
            [city async for city in City.objects.using(alias)]
        return record, line

    record, line = on_loop(code())
    assert [query.line.number for query in record.queries] == [line, line + 1]


def test_line_of_a_coroutine_that_a_greenlet_waits_for(alias):
    """As an asynchronous view behind synchronous middleware."""
    at = []

    async def view():
        at.append(line_here(1))
        await City.objects.using(alias).acount()

    async def code():
        with watch.recorded() as record:
            await concurrency.run(lambda: concurrency.wait_for(view()))
        return record

    [query] = on_loop(code()).queries
    assert query.line.number == at[0]


def test_threads_of_djangos_engines_have_the_line_of_their_coroutine(tmp_path):
    add("plain", {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "db")})
    with connections["plain"].schema_editor() as editor:
        editor.create_model(Tag)

    async def code():
        line = line_here(2)
        with watch.recorded() as record:
            await Tag.objects.using("plain").acount()

        await sync_to_async(connections.close_all)()
        return record, line

    try:
        record, line = asyncio.run(code())
        assert [query.line.number for query in record.queries] == [line]
    finally:
        remove("plain")


def test_tasks_and_their_records_are_apart(alias):
    async def code(count):
        with watch.recorded() as record:
            for _ in range(count):
                await City.objects.using(alias).acount()
        return record.count

    async def all_of_them():
        return await asyncio.gather(*(code(count) for count in range(1, 6)))

    assert on_loop(all_of_them()) == [1, 2, 3, 4, 5]


def test_queries_of_tasks_that_a_request_starts_are_its_own(alias):
    async def code():
        with watch.recorded() as record:
            await asyncio.gather(*(City.objects.using(alias).acount() for _ in range(4)))
        await City.objects.using(alias).acount()
        return record

    record = on_loop(code())
    assert record.count == 4
    total = sum(query.ms for query in record.queries)
    assert 0 < record.queries_ms <= min(total, record.ms) + 0.001


def test_compiled_queries_are_seen_where_c_runs_them(alias, monkeypatch):
    @compiled
    def by_name(name: str):
        return City.objects.using(alias).filter(name=name)

    async def code():
        line = line_here(2)
        with watch.recorded() as record:
            await by_name("city 1")
            await by_name.json("city 1")
        return record, line

    monkeypatch.setattr(Statement, "run", None)
    record, line = on_loop(code())
    assert [query.line.number for query in record.queries] == [line, line + 1]
    assert all(query.compiled and not query.failed for query in record.queries)
    assert record.queries[0].params == {"p1": "city 1"}
    assert (record.count, record.duplicates) == (2, 1)


def test_compiled_queries_on_djangos_connection_are_seen_once(alias):
    @compiled
    def by_name(name: str):
        return City.objects.using(alias).filter(name=name)

    record = here(lambda: by_name("city 1").get())
    assert [query.params for query in record.queries] == [{"p1": "city 1"}]


@pytest.mark.postgresql
def test_compiled_queries_that_fail_are_seen(watch_postgresql):
    @compiled
    def divided(number: int):
        return City.objects.using(watch_postgresql).extra(select={"q": "1 / (id - id)"})

    async def code():
        with watch.recorded() as record, pytest.raises(Exception, match="division"):
            await divided(1)
        return record

    assert [query.failed for query in on_loop(code()).queries] == [True]


def test_lines_of_templates(alias, tmp_path):
    (tmp_path / "cities.html").write_text(
        "<ul>\n{% for city in cities %}{{ city.name }}{% endfor %}"
    )
    template = Engine(dirs=[str(tmp_path)]).get_template("cities.html")
    record = here(lambda: template.render(Context({"cities": City.objects.using(alias)})))
    [query] = record.queries
    assert (query.line.path, query.line.number) == (str(tmp_path / "cities.html"), 2)
    assert str(query.line).endswith("cities.html:2 (template)")


def test_records_are_bounded(watch_sqlite, monkeypatch):
    monkeypatch.setattr("quintette.db.watch.record.QUERIES_MAX", 3)

    def code():
        for number in range(5):
            list(City.objects.using(watch_sqlite).filter(name=str(number)))

    record = here(code)
    assert (record.count, len(record.queries)) == (5, 3)


def test_nothing_is_in_place_when_nobody_watches(watch_sqlite):
    here(lambda: City.objects.using(watch_sqlite).count())
    assert connections[watch_sqlite].execute_wrappers == []


def test_wrappers_of_others_stay(watch_sqlite):
    """connection.execute_wrapper() takes away the last one."""
    calls = []

    def other(execute, *args):
        calls.append(args[0])
        return execute(*args)

    connection = connections[watch_sqlite]
    connection.close()

    def code():
        with connection.execute_wrapper(other):
            Country.objects.using(watch_sqlite).count()  # connects
        Country.objects.using(watch_sqlite).count()

    assert here(code).count == 2
    assert len(calls) == 1
    assert connection.execute_wrappers == []


def test_a_stack_without_the_project_has_no_line():
    assert lines.find(None) is None
    assert COUNT > 5  # what the other tests repeat is enough for a warning
