"""Types that only the driver knows (enums, citext, hstore, ranges): on connections of our own,
results are what the ORM gives."""

import asyncio
import contextlib

import msgspec
import pytest
from asgiref.sync import sync_to_async
from django.contrib.postgres.fields import ArrayField, HStoreField, IntegerRangeField
from django.contrib.postgres.signals import register_type_handlers
from django.db import connections, models, transaction
from django.db.backends.postgresql.psycopg_any import NumericRange
from django.db.backends.signals import connection_created

from quintette import Shape, _quintette
from quintette.db.compiled import compiled, pgtypes
from quintette.db.compiled.statement import Statement

pytestmark = pytest.mark.postgresql


class MoodField(models.CharField):
    def db_type(self, connection):
        return "mood"


class CIField(models.TextField):
    def db_type(self, connection):
        return "citext"


class Person(models.Model):
    name = CIField()
    mood = MoodField(max_length=9, null=True)
    moods = ArrayField(MoodField(max_length=9), null=True)
    facts = HStoreField(null=True)
    ages = IntegerRangeField(null=True)

    class Meta:
        app_label = "compiled_tests"


class MoodOut(Shape, model=Person):
    name: str
    mood: str | None


def close_everywhere(alias):
    """Here, and in the thread where Django's asynchronous methods run."""

    def close():
        connections[alias].close()

    close()
    asyncio.run(sync_to_async(close)())


@pytest.fixture(scope="module")
def people(postgresql_alias):
    connection = connections[postgresql_alias]
    with connection.cursor() as cursor:
        cursor.execute("CREATE TYPE mood AS ENUM ('sad', 'happy', 'é\"x')")
        cursor.execute("CREATE EXTENSION IF NOT EXISTS citext")
        cursor.execute("CREATE EXTENSION IF NOT EXISTS hstore")
    close_everywhere(postgresql_alias)  # it is when it connects that Django looks for the types
    connection_created.connect(register_type_handlers)  # as django.contrib.postgres does
    with connection.schema_editor() as editor:
        editor.create_model(Person)
    everybody = Person.objects.using(postgresql_alias)
    everybody.create(
        name="Ann", mood="happy", facts={"a": "1", 'é"': None}, ages=NumericRange(1, 5),
        moods=["sad", 'é"x'],
    )  # fmt: skip
    everybody.create(name="bob", mood='é"x')
    everybody.create(name="Eve", facts={})
    yield everybody
    connection_created.disconnect(register_type_handlers)
    close_everywhere(postgresql_alias)
    with connection.schema_editor() as editor:
        editor.delete_model(Person)
    with connection.cursor() as cursor:
        cursor.execute("DROP TYPE mood")


@pytest.fixture
def run(people):
    with asyncio.Runner(
        loop_factory=lambda: asyncio.SelectorEventLoop(_quintette.Poller())
    ) as runner:
        yield lambda pending: runner.run(awaited(pending))
        runner.run(_quintette_drain())


async def _quintette_drain():
    from quintette.db.compiled import drain

    await drain()


async def awaited(pending):
    return await pending


@contextlib.contextmanager
def only_our_connections():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Statement, "run", None)
        yield


def test_enums_and_citext_are_texts_in_c(people, run):
    pgtypes.text_types(people.db).clear()

    @compiled
    def some(name: str):
        return people.filter(name__gte=name).order_by("id").values("name", "mood")

    expected = list(people.order_by("id").values("name", "mood"))
    assert run(some("a")) == expected  # asks for the types
    assert len(pgtypes.text_types(people.db)) == 2
    with only_our_connections():
        assert run(some("a")) == expected
        assert run(some.json("a")) == msgspec.json.encode(expected)
    assert some._statement("a").has_plan


def test_shapes(people, run):
    pgtypes.text_types(people.db).clear()

    @compiled(shape=MoodOut)
    def named(name: str):
        return people.filter(name=name)

    expected = MoodOut.select(people.filter(name="ANN")).all()
    assert [one.name for one in expected] == ["Ann"]
    assert run(named.json("ann")) == msgspec.json.encode(expected)
    with only_our_connections():
        assert run(named.json("ann")) == msgspec.json.encode(expected)
        assert run(named("ann")) == expected
    with transaction.atomic(using=people.db):
        assert named.json("ann").get() == msgspec.json.encode(expected)
    assert MoodOut.select(people.filter(name="ann")).json() == msgspec.json.encode(expected)


@pytest.mark.parametrize("column", ["facts", "ages", "moods"])
def test_others_as_the_orm_has_them(people, run, column):
    @compiled
    def some(least: int):
        return people.filter(id__gte=least).order_by("id").values_list("name", column)

    expected = list(people.order_by("id").values_list("name", column))
    for _ in range(2):
        assert run(some(0)) == expected
    if column != "ages":  # a range has no JSON
        for _ in range(2):
            assert run(some.json(0)) == msgspec.json.encode(expected)


def test_whole_instances(people, run):
    @compiled
    def everybody(least: int):
        return people.filter(id__gte=least).order_by("id")

    for _ in range(2):
        got = run(everybody(0))
        assert [(one.name, one.facts, one.ages, one.mood, one.moods) for one in got] == [
            (one.name, one.facts, one.ages, one.mood, one.moods) for one in people.order_by("id")
        ]


def test_a_failure_there_is_the_calls(people, run, monkeypatch):
    pgtypes.text_types(people.db).clear()

    @compiled
    def some():
        return people.order_by("id").values_list("mood", flat=True)

    def fail(*args):
        raise RuntimeError("no catalogue")

    with monkeypatch.context() as patch:
        patch.setattr(pgtypes, "learn", fail)
        with pytest.raises(RuntimeError, match="no catalogue"):
            run(some())
    assert run(some()) == ["happy", 'é"x', None]


def test_a_call_that_is_given_up_meanwhile(people, run, monkeypatch):
    pgtypes.text_types(people.db).clear()
    begun = []

    @compiled
    def some():
        return people.order_by("id").values_list("mood", flat=True)

    async def give_up():
        waits = asyncio.Event()

        async def learning(self, pending, oids):
            begun.append(asyncio.current_task())
            waits.set()
            await asyncio.Event().wait()

        monkeypatch.setattr(Statement, "_learning", learning)
        task = asyncio.create_task(awaited(some()))
        await waits.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait(begun, timeout=60)

    run(give_up())
    assert [task.cancelled() for task in begun] == [True]
