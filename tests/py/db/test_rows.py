"""What querysets make of rows in C, beside what Django makes of them, on our SQLite engine."""

from __future__ import annotations

import datetime as dt
import inspect
import uuid
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connections, models
from django.db.models import F, Q
from django.db.models.functions import Upper
from django.db.models.query import ModelIterable, QuerySet, ValuesIterable
from django.db.models.signals import post_init
from django.db.utils import ConnectionHandler
from shortcut_models import City, Country, Nickname, Person, Port

import quintette.db.sqlite3.base  # noqa: F401 (which installs it)
from quintette.db import statements
from quintette.db.compiled import compiled
from quintette.server.own import own_method

ALIAS = "rows"
# What shortcuts.install() has found.
DJANGOS: Any = inspect.getclosurevars(QuerySet._fetch_all).nonlocals["djangos"]

Make = Callable[[], Any]


@pytest.fixture(autouse=True)
def filled(tmp_path: Path) -> Iterator[None]:
    settings = {"ENGINE": "quintette.db.sqlite3", "NAME": str(tmp_path / "db.sqlite3")}
    connections.settings[ALIAS] = ConnectionHandler({"default": settings}).settings["default"]
    with connections[ALIAS].schema_editor() as editor:
        for model in (Country, Person, City, Port):
            editor.create_model(model)
    germany = Country.objects.using(ALIAS).create(code="de", name="Germany")
    norway = Country.objects.using(ALIAS).create(code="no", name="Norway")
    some = {"population": 5, "founded": dt.date(1900, 1, 2), "uid": uuid.UUID(int=9)}
    first = City.objects.using(ALIAS).create(name="A", country=germany, **some)
    City.objects.using(ALIAS).create(
        name="B", country=norway, twin=first, born_in=germany, population=7
    )
    Port.objects.using(ALIAS).create(
        name="C", country=germany, population=1, depth=2.5, owner=norway
    )
    statements.forget()
    yield
    statements.forget()
    connections[ALIAS].close()
    del connections[ALIAS]
    del connections.settings[ALIAS]


def cities() -> Any:
    return City.objects.using(ALIAS).order_by("pk")


def picture(item: Any, seen: tuple[int, ...] = ()) -> Any:
    """All there is in an instance, or in those of a dict; anything else as it is."""
    if isinstance(item, dict):
        return {name: [picture(other, seen) for other in found] for name, found in item.items()}
    if not isinstance(item, models.Model) or id(item) in seen:
        return item
    state = item._state
    seen = (*seen, id(item))
    return (
        type(item),
        [
            (name, picture(value, seen) if name == "_prefetched_objects_cache" else value)
            for name, value in vars(item).items()
            if name != "_state"
        ],
        [(n, v) for n, v in vars(state).items() if n != "fields_cache"],
        {name: picture(other, seen) for name, other in state.fields_cache.items()},
    )


CASES: dict[str, Make] = {
    "all": cities,
    "none": lambda: cities().none(),
    "no row": lambda: cities().filter(name="nothing"),
    "empty list": lambda: cities().filter(pk__in=[]),
    "condition": lambda: cities().filter(country="de", population__gt=0),
    "only": lambda: cities().only("name"),
    "defer": lambda: cities().defer("name", "country"),
    "select_related": lambda: cities().select_related("country", "twin__country", "born_in"),
    "prefetch_related": lambda: cities().prefetch_related("twins", "country"),
    "annotated": lambda: cities().annotate(upper=Upper("name"), n=F("population") + 1),
    "related": lambda: Country.objects.using(ALIAS).get(pk="de").cities.order_by("pk"),
    "related, and its other side": lambda: (
        Country.objects.using(ALIAS).get(pk="de").cities.select_related("country").order_by("pk")
    ),
    "related, deferred": lambda: (
        Country.objects.using(ALIAS).get(pk="de").cities.only("name").order_by("pk")
    ),
    "children": lambda: Port.objects.using(ALIAS).select_related("owner").order_by("pk"),
    "proxy": lambda: Nickname.objects.using(ALIAS).filter(name="A").order_by("pk"),
    "slice": lambda: cities()[1:3],
    "reversed": lambda: cities().reverse(),
    "or": lambda: cities().filter(Q(name="A") | Q(twin__name="A")),
    "union": lambda: cities().order_by().union(cities().order_by()).order_by("name"),
    "distinct": lambda: cities().distinct(),
    "extra": lambda: cities().extra(select={"one": "1"}),
    "values": lambda: cities().values("name", "country", "twin__name"),
    "values of all": lambda: cities().values(),
    "values of nothing": lambda: cities().none().values("name"),
    "values, annotated": lambda: cities().values("name", n=F("population") * 2),
    "values, extra": lambda: cities().extra(select={"one": "1"}).values("name", "one"),
    "values, grouped": lambda: cities().order_by().values("country").annotate(n=models.Count("pk")),
    "values_list": lambda: cities().values_list("name", "uid"),
    "flat": lambda: cities().values_list("name", flat=True),
    "named": lambda: cities().values_list("name", named=True),
    "dates": lambda: cities().filter(founded__isnull=False).dates("founded", "year"),
    "raw": lambda: City.objects.using(ALIAS).raw("SELECT * FROM contenttypes_city ORDER BY id"),
}


def outcomes(make: Make) -> list[Any]:
    """Of the first run, which writes the SQL, and of two that find it."""
    return [
        [item if isinstance(item, dict) else picture(item) for item in make()] for _ in range(3)
    ]


@pytest.mark.parametrize("name", CASES)
def test_the_same_rows(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = outcomes(CASES[name])
    monkeypatch.setattr(QuerySet, "_fetch_all", DJANGOS)
    assert mine == outcomes(CASES[name])


def makers_made() -> list[Any]:
    kept = statements._statements.get(ALIAS, {}).values()
    return [maker for statement in kept if statement for maker in statement.makers.values()]


def test_ordinary_rows_are_made_in_c() -> None:
    for _ in range(2):
        list(cities().filter(country="de"))
    assert makers_made()[0] is not None


def test_related_objects_are_the_ones_that_are_known() -> None:
    germany = Country.objects.using(ALIAS).get(pk="de")
    for _ in range(2):
        assert all(city.country is germany for city in germany.cities.all())


def test_a_receiver_hears_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    list(cities())
    list(cities())
    heard = []

    def receiver(instance: Any, **kwargs: Any) -> None:
        heard.append(instance.name)

    post_init.connect(receiver, sender=City)
    try:
        list(cities())
    finally:
        post_init.disconnect(receiver, sender=City)
    assert heard == ["A", "B", "C"]


@pytest.mark.parametrize("iterable", [ModelIterable, ValuesIterable])
def test_a_patched_iterable_is_asked(iterable: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    own = own_method(iterable, "__iter__")
    asked = []

    def traced(self: Any) -> Iterator[Any]:
        asked.append(self)
        return own(self)

    make = cities if iterable is ModelIterable else lambda: cities().values("name")
    list(make())
    list(make())
    monkeypatch.setattr(iterable, "__iter__", traced)
    assert len(list(make())) == 3
    assert len(asked) == 1


def test_the_router_is_asked_for_a_replica(monkeypatch: pytest.MonkeyPatch) -> None:
    class Router:
        def db_for_read(self, model: Any, **hints: Any) -> str:
            return ALIAS

    monkeypatch.setattr("django.db.router.routers", [Router()])
    for _ in range(2):
        assert [city._state.db for city in City.objects.order_by("pk")] == [ALIAS] * 3


@pytest.mark.parametrize(
    "make",
    [
        lambda: City.objects.order_by("pk"),
        lambda: City.objects.annotate(upper=Upper("name")),
        lambda: City.objects.values("name"),
    ],
    ids=["plain", "annotated", "values"],
)
def test_the_router_is_asked_once(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    class Router:
        def db_for_read(self, model: Any, **hints: Any) -> str:
            asked.append(model)
            return ALIAS

    asked: list[Any] = []
    monkeypatch.setattr("django.db.router.routers", [Router()])
    for times in (1, 2, 3):
        assert len(make()) == 3
        assert len(asked) == times


def test_an_object_without_the_key_that_is_pointed_to() -> None:
    """The condition is met by those without a mayor; what it joins stays an outer join."""
    person = Person.objects.using(ALIAS).create()
    for _ in range(2):
        found = cities().filter(mayor=person).values_list("name", "mayor__id")
        assert list(found) == [("A", None), ("B", None), ("C", None)]


def test_a_connection_under_two_names(monkeypatch: pytest.MonkeyPatch) -> None:
    copied = connections[ALIAS]
    monkeypatch.setitem(connections.settings, "copied", connections.settings[ALIAS])
    for alias in (ALIAS, "copied", ALIAS):
        connections["copied"] = copied
        for _ in range(2):
            made = City.objects.using(alias).order_by("pk")
            assert [city._state.db for city in made] == [alias] * 3
    del connections["copied"]


def test_a_metaclass_may_give_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def given(cls: Any, *args: Any, **kwargs: Any) -> Any:
        called.append(cls)
        return type.__call__(cls, *args, **kwargs)

    called: list[Any] = []
    list(cities())
    list(cities())
    monkeypatch.setattr(type(City), "__call__", given, raising=False)
    list(cities())
    assert called.count(City) == 3


def test_a_static_from_db(monkeypatch: pytest.MonkeyPatch) -> None:
    """Django 6.1 takes no such method, and its error is the one to see."""
    list(cities())
    list(cities())
    monkeypatch.setattr(City, "from_db", staticmethod(lambda *args, **kwargs: City(name="made")))
    mine, theirs = [], []
    for found in (mine, theirs):
        try:
            found.extend(city.name for city in cities())
        except AttributeError as error:
            found.append(str(error))
        monkeypatch.setattr(QuerySet, "_fetch_all", DJANGOS)
    assert mine == theirs


def test_a_deprecation_names_the_line_that_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Django's, of a method without `fetch_mode`."""

    def from_db(cls: Any, db: Any, names: Any, values: Any) -> Any:
        return City(name="made")

    monkeypatch.setattr(City, "from_db", classmethod(from_db))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert [city.name for city in cities()] == ["made"] * 3
    assert {warning.filename for warning in caught} <= {__file__}


def test_another_table(monkeypatch: pytest.MonkeyPatch) -> None:
    list(cities())
    list(cities())
    with connections[ALIAS].cursor() as cursor:
        cursor.execute("CREATE TABLE towns AS SELECT * FROM contenttypes_city WHERE name = 'B'")
    monkeypatch.setattr(City._meta, "db_table", "towns")
    for field in City._meta.local_fields:  # Django keeps the old name there
        monkeypatch.delitem(vars(field), "cached_col", raising=False)
    assert [city.name for city in cities()] == ["B"]
    assert [city["name"] for city in cities().values("name")] == ["B"]


def test_fetch_modes_of_a_project() -> None:
    if not hasattr(models, "FETCH_RAISE"):
        pytest.skip("Django has no fetch modes")

    class Mode(type(models.FETCH_ONE)):  # type: ignore[misc]
        __hash__ = None

    for _ in range(5):
        mode = Mode()
        made = cities().fetch_mode(mode)
        assert all(city._state.fetch_mode is mode for city in made)
    assert not [maker for maker in makers_made() if maker]


def first() -> Any:
    return cities().first()


def first_of_values() -> Any:
    return cities().values("name").first()


@pytest.mark.parametrize("function", [first, first_of_values])
def test_a_compiled_query(function: Make) -> None:
    """Compiling one looks at what stands between it and its query: the statement's own file too."""
    for _ in range(2):
        expected = function()
    assert compiled(function)().get() == expected


def test_each_fetch_mode_has_instances_of_its_own() -> None:
    if not hasattr(models, "FETCH_RAISE"):
        pytest.skip("Django has no fetch modes")
    for mode in (models.FETCH_ONE, models.FETCH_RAISE, models.FETCH_PEERS, models.FETCH_ONE):
        for _ in range(2):
            modes = [city._state.fetch_mode for city in cities().fetch_mode(mode)]
            assert modes == [mode] * 3
