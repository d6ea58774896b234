"""The short ways of filters and values(), beside Django's own: the same query comes of both."""

from __future__ import annotations

import datetime as dt
import gc
import inspect
import random
import uuid
import warnings
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.apps.registry import Apps
from django.contrib.auth.models import User
from django.core.exceptions import FieldError
from django.db import models
from django.db.models import F, Q
from django.db.models.sql.datastructures import Join
from django.db.models.sql.query import Query
from django.db.models.sql.where import WhereNode
from shortcut_models import City, Country, Nickname, Person, Port

import quintette.db.sqlite3.base  # noqa: F401 (which installs them)


def djangos(name: str) -> Any:
    """What shortcuts.install() has found."""
    return inspect.getclosurevars(getattr(Query, name)).nonlocals["djangos"]


DJANGOS = {name: djangos(name) for name in ("add_q", "add_fields", "check_alias")}


@contextmanager
def as_django_does() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, method in DJANGOS.items():
            patch.setattr(Query, name, method)
        yield


def state(query: Any) -> dict[str, Any]:
    found = dict(vars(query))
    found["where"] = condition(query.where)
    found["alias_map"] = [(alias, table(join)) for alias, join in query.alias_map.items()]
    found["used_aliases"] = sorted(query.used_aliases)
    found["select"] = [str(column) for column in query.select]
    found["combined_queries"] = [state(combined) for combined in query.combined_queries]
    found.pop("base_table", None)
    return found


def condition(node: Any) -> Any:
    if isinstance(node, WhereNode):
        return node.connector, node.negated, [condition(child) for child in node.children]
    if not isinstance(node, models.Lookup):
        return type(node)
    rhs = state(node.rhs) if isinstance(node.rhs, Query) else node.rhs
    return type(node), repr(node.lhs), repr(node.lhs.output_field), type(node.rhs), rhs


def table(join: Any) -> Any:
    names = "table_name", "table_alias", "parent_alias", "join_type", "join_field", "nullable"
    return type(join), [getattr(join, name, None) for name in names]


Make = Callable[[Any], Any]


def compared(model: Any, *makes: Make) -> None:
    """Each is applied to what the one before made."""
    mine, theirs = model._default_manager.all(), model._default_manager.all()
    for make in makes:
        mine = outcome(make, mine)
        with as_django_does():
            theirs = outcome(make, theirs)
        if isinstance(mine, tuple) or isinstance(theirs, tuple):
            assert mine == theirs
            return
        assert state(mine.query) == state(theirs.query)
    assert outcome(str, mine.query) == outcome(str, theirs.query)


def outcome(make: Make, *args: Any) -> Any:
    """An exception as a tuple."""
    try:
        return make(*args)
    except Exception as error:
        return type(error), str(error)


def saved(key: int) -> City:
    return City(pk=key, name="x", country_id="de", population=1)


CASES: dict[str, tuple[Any, ...]] = {
    "equal": (City, lambda s: s.filter(name="x")),
    "primary key": (City, lambda s: s.filter(pk=3)),
    "its name": (City, lambda s: s.filter(id=3)),
    "text as a key": (Country, lambda s: s.filter(pk="de")),
    "wrong type": (City, lambda s: s.filter(population="many")),
    "out of range": (City, lambda s: s.filter(population=2**80)),
    "comparison": (City, lambda s: s.filter(population__gte=5, population__lt=10)),
    "list": (City, lambda s: s.filter(pk__in=[1, 2, 2])),
    "tuple": (City, lambda s: s.filter(name__in=("a", "b"))),
    "set": (City, lambda s: s.filter(pk__in={1})),
    "generator": (City, lambda s: s.filter(pk__in=(n for n in (1, 2)))),
    "range": (City, lambda s: s.filter(population__range=(1, 2))),
    "none in a list": (City, lambda s: s.filter(pk__in=[1, None])),
    "expression in a list": (City, lambda s: s.filter(pk__in=[1, F("population")])),
    "expression": (City, lambda s: s.filter(population=F("pk"))),
    "query": (City, lambda s: s.filter(pk__in=City.objects.values("pk"))),
    "none": (City, lambda s: s.filter(uid=None)),
    "is null": (City, lambda s: s.filter(uid__isnull=True, twin__isnull=False)),
    "transform": (City, lambda s: s.filter(founded__year=2020)),
    "transform and lookup": (City, lambda s: s.filter(founded__year__gte=2020)),
    "no such lookup": (City, lambda s: s.filter(name__nothing=1)),
    "no such field": (City, lambda s: s.filter(nothing=1)),
    "empty name": (City, lambda s: s.filter(**{"": 1})),
    "lookup alone": (City, lambda s: s.filter(exact=1)),
    "foreign key": (City, lambda s: s.filter(country="de")),
    "its column": (City, lambda s: s.filter(country_id="de")),
    "an object": (City, lambda s: s.filter(country=Country(code="de"))),
    "an object of another model": (City, lambda s: s.filter(country=saved(1))),
    "an unsaved object": (City, lambda s: s.filter(twin=City())),
    "a list for a key": (City, lambda s: s.filter(country=["de", "pk"])),
    "keys": (City, lambda s: s.filter(country_id__in=["de", "pk"], twin__gt=2)),
    "objects": (City, lambda s: s.filter(twin__in=[saved(1), saved(2)])),
    "null foreign key": (City, lambda s: s.filter(twin_id=2)),
    "an object without the key": (
        City,
        lambda s: s.filter(mayor=Person(pk=1, badge=None)),
        lambda s: s.values("mayor__badge"),
        lambda s: s.filter(mayor=Person(pk=1, badge=4)),
    ),
    "an object without the key, after one with it": (
        City,
        lambda s: s.filter(mayor=Person(pk=1, badge=4)),
        lambda s: s.filter(mayor=Person(pk=1, badge=None)),
    ),
    "both at once": (
        City,
        lambda s: s.filter(("mayor", Person(pk=1, badge=None)), ("mayor", Person(pk=1, badge=4))),
    ),
    "a lookup that needs another": (City, lambda s: s.filter(odd__same="x")),
    "both to one table": (City, lambda s: s.filter(country_id="de", born_in_id="pk")),
    "then the other model": (
        City,
        lambda s: s.filter(twin_id=2),
        lambda s: s.filter(twin__name="x"),
        lambda s: s.filter(twin=4),
    ),
    "the other model first": (
        City,
        lambda s: s.exclude(twin__name="x"),
        lambda s: s.filter(twin=4),
        lambda s: s.filter(born_in="pk"),
    ),
    "outer join, then its key": (
        City,
        lambda s: s.select_related("twin").values("twin"),
        lambda s: s.filter(twin=4),
    ),
    "a field of the other model": (City, lambda s: s.filter(country__code="de", country__name="x")),
    "its key": (City, lambda s: s.filter(country__pk="de")),
    "or": (City, lambda s: s.filter(Q(name="x") | Q(pk=1))),
    "and": (City, lambda s: s.filter(Q(name="x") & Q(pk=1), country="de")),
    "not": (City, lambda s: s.exclude(name="x"), lambda s: s.exclude(twin=2)),
    "a Q in a Q": (City, lambda s: s.filter(Q(Q(name="x"), pk=1))),
    "twice": (City, lambda s: s.filter(name="x"), lambda s: s.filter(name="x", pk=1)),
    "by annotation": (
        City,
        lambda s: s.annotate(twice=F("population") * 2),
        lambda s: s.filter(twice=4, name="x"),
    ),
    "by alias": (
        City,
        lambda s: s.alias(big=models.FilteredRelation("country", condition=Q(country__name="x"))),
        lambda s: s.filter(big__code="x", name="y"),
    ),
    "after or": (City, lambda s: s.filter(name="x") | s.filter(pk=1), lambda s: s.filter(pk=2)),
    "after a slice": (City, lambda s: s[:3], lambda s: s.filter(pk=2)),
    "of a parent": (Port, lambda s: s.filter(name="x", depth=2.5)),
    "own foreign key": (Port, lambda s: s.filter(owner="de"), lambda s: s.values("owner_id")),
    "child's key": (Port, lambda s: s.filter(pk=1), lambda s: s.filter(city_ptr=2)),
    "proxy": (Nickname, lambda s: s.filter(name="x", country="de")),
    "reverse": (Country, lambda s: s.filter(cities__name="x", code="de")),
    "reverse twice": (
        Country,
        lambda s: s.filter(cities__name="x"),
        lambda s: s.filter(cities__name="y", name="z"),
    ),
    "many to many": (
        User,
        lambda s: s.filter(groups=1, username="x"),
        lambda s: s.values("groups"),
    ),
    "uuid": (City, lambda s: s.filter(uid=uuid.UUID(int=1), uid__in=[uuid.UUID(int=2)])),
    "none()": (City, lambda s: s.none(), lambda s: s.filter(pk=1)),
    "union": (City, lambda s: s.union(s), lambda s: s.filter(pk=1)),
    "extra": (City, lambda s: s.extra(select={"one": "1"}), lambda s: s.values("one", "name")),
    "values": (City, lambda s: s.values("name", "pk", "country", "country_id", "twin")),
    "values, then conditions": (
        City,
        lambda s: s.values("born_in", "twin_id"),
        lambda s: s.filter(twin=1, country="de"),
        lambda s: s.values_list("country__name", "twin__twin__name"),
    ),
    "values of nothing": (City, lambda s: s.values("nothing")),
    "values of all": (City, lambda s: s.values()),
    "values of a parent": (Port, lambda s: s.values("depth", "name", "country")),
    "values and a lookup": (City, lambda s: s.values("founded__year", "name")),
    "grouped": (
        City,
        lambda s: s.values("country").annotate(n=models.Count("pk")).filter(country="de"),
    ),
    "no aliases": (City, lambda s: s.only("name"), lambda s: s.filter(name="x").values("name")),
}


@pytest.mark.parametrize("name", CASES)
def test_the_same_query(name: str) -> None:
    model, *makes = CASES[name]
    compared(model, *makes)


CONDITIONS: list[dict[str, Any]] = [
    {"name": "x"},
    {"country": "de"},
    {"country_id": "de"},
    {"born_in": "pk"},
    {"born_in__name": "p"},
    {"twin": 1},
    {"twin_id__in": [1, 2]},
    {"twin__twin": 1},
    {"twin__name__contains": "x"},
    {"twin__country": "de"},
    {"twins__name": "y"},
    {"twins": 2},
    {"country__cities__name": "x"},
    {"population__gt": 4, "country": "de"},
    {"founded": dt.date(2020, 1, 2), "twin__isnull": False},
    {"uid__isnull": True},
    {"pk": 7},
]
NAMES = ["name", "country", "born_in_id", "twin", "twin__name", "country__name", "pk", "twins"]


def step(chance: random.Random) -> Make:
    kind = chance.choice(["filter"] * 4 + ["exclude", "or", "values", "order_by"])
    some = chance.choice(CONDITIONS)
    other = chance.choice(CONDITIONS)
    names = chance.sample(NAMES, chance.randint(1, 4))
    if kind == "or":
        return lambda s: s.filter(Q(**some) | Q(**other))
    if kind == "values":
        return lambda s: s.values(*names)
    if kind == "order_by":
        return lambda s: s.order_by(*names)
    return lambda s: getattr(s, kind)(**some)


@pytest.mark.parametrize("seed", range(300))
def test_the_same_query_of_random_steps(seed: int) -> None:
    chance = random.Random(seed)
    compared(City, *(step(chance) for _ in range(chance.randint(1, 6))))


def test_a_list_stays_the_callers() -> None:
    keys = [1, 2]
    queryset = City.objects.filter(pk__in=keys)
    keys.append(3)
    assert queryset.query.where.children[0].rhs == [1, 2]


def test_a_query_is_not_changed_by_those_made_of_it() -> None:
    first = City.objects.filter(country="de")
    before = state(first.query)
    first.filter(country__name="x").exclude(born_in="pk").values("twin")
    assert state(first.query) == before


def test_a_method_put_in_djangos_place_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    called = []
    build_filter = Query.build_filter

    def traced(self: Any, filter_expr: Any, *args: Any, **kwargs: Any) -> Any:
        called.append(filter_expr)
        return build_filter(self, filter_expr, *args, **kwargs)

    monkeypatch.setattr(Query, "build_filter", traced)
    City.objects.filter(name="x")
    assert called == [("name", "x")]


def test_the_methods_of_a_subclass_are_called() -> None:
    class Loud(Query):
        def build_lookup(self, lookups: Any, lhs: Any, rhs: Any) -> Any:
            called.append(lookups)
            return super().build_lookup(lookups, lhs, rhs)

    called: list[Any] = []
    models.QuerySet(City, query=Loud(City)).filter(name="x")
    assert called == [[]]


class JoinOfMine(Join):
    pass


def nullable(self: Any, field: Any) -> bool:
    return True


@pytest.mark.parametrize(
    "attributes",
    [{"join_class": JoinOfMine}, {"is_nullable": nullable}],
    ids=lambda given: next(iter(given)),
)
@pytest.mark.parametrize(
    "make",
    [lambda s: s.filter(country="de"), lambda s: s.values("country")],
    ids=["filter", "values"],
)
def test_what_a_subclass_says_of_joins(make: Make, attributes: dict[str, Any]) -> None:
    special = type("Special", (Query,), attributes)
    mine = make(models.QuerySet(City, query=special(City)))
    with as_django_does():
        theirs = make(models.QuerySet(City, query=special(City)))
    assert state(mine.query) == state(theirs.query)


def test_setup_joins_put_in_djangos_place_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    called = []
    setup_joins = Query.setup_joins

    def traced(self: Any, names: Any, *args: Any, **kwargs: Any) -> Any:
        called.append(names)
        return setup_joins(self, names, *args, **kwargs)

    monkeypatch.setattr(Query, "setup_joins", traced)
    City.objects.values("name")
    assert called == [["name"]]


@pytest.mark.parametrize(
    "make",
    [lambda: City.objects.filter(born_in="de"), lambda: City.objects.values("country")],
    ids=["filter", "values"],
)
def test_a_join_belongs_to_its_query(make: Callable[[], Any]) -> None:
    """Somebody may change it, as is done to turn one into an outer one."""
    before = state(make().query)
    for join in list(make().query.alias_map.values())[1:]:
        join.join_type = "CROSS JOIN"
        join.nullable = None
    assert state(make().query) == before


def test_a_column_that_depends_on_more_is_asked_for_each_time() -> None:
    aliases = [City.objects.values("odd").query.select[0].asked for _ in range(2)]
    assert aliases[0] is not aliases[1]


def test_a_model_may_go() -> None:
    def used() -> weakref.ref[Any]:
        class Gone(models.Model):
            name = models.CharField(max_length=10)
            country = models.ForeignKey(Country, models.CASCADE, related_name="+")

            class Meta:
                apps, app_label = Apps(), "contenttypes"

        Gone.objects.filter(name="x", country="de").values("name", "country")
        return weakref.ref(Gone)

    gone = used()
    Country._meta._expire_cache()
    gc.collect()
    assert gone() is None


def test_another_table_of_the_other_model(monkeypatch: pytest.MonkeyPatch) -> None:
    compared(City, lambda s: s.filter(country="de"))
    monkeypatch.setattr(Country._meta, "db_table", "lands")
    compared(City, lambda s: s.filter(country="de"), lambda s: s.filter(country__name="x"))
    compared(City, lambda s: s.values("country"))


def test_another_table_of_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    compared(City, lambda s: s.filter(country="de").values("country"))
    monkeypatch.setattr(City._meta, "db_table", "towns")
    compared(City, lambda s: s.filter(country="de").values("country"))


def test_a_new_field_of_the_other_model() -> None:
    class Land(models.Model):
        class Meta:
            apps, app_label = Apps(), "contenttypes"

    class Town(models.Model):
        land = models.ForeignKey(Land, models.CASCADE, related_name="towns")

        class Meta:
            apps, app_label = Land._meta.apps, "contenttypes"

    with pytest.raises(FieldError):
        Town._default_manager.filter(land__size=1)
    models.IntegerField().contribute_to_class(Land, "size")
    compared(Town, lambda s: s.filter(land__size=1))


def test_a_deprecation_names_the_line_that_asked() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        City.objects.annotate(**{"a%b": F("name")})
    assert {warning.filename for warning in caught} <= {__file__}


def test_names_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    from quintette.db.shortcuts import columns

    monkeypatch.setattr(columns, "NAMES_MAX", 10)
    for number in range(50):
        columns.column_of(City, f"name__{number}")
        columns.selection_of(City, ("name", f"name{number}"))
        known = columns._known_of(City)
        assert len(known.columns) <= 10
        assert len(known.selections) <= 10


@pytest.mark.parametrize("name", ["nothing", "username__nothing", "groups__nothing"])
def test_names_that_lead_nowhere(name: str) -> None:
    with pytest.raises(FieldError, match="nothing"):
        User.objects.values("email", name)


@pytest.mark.parametrize("alias", ["a b", "a;b", "a--b"])
def test_forbidden_aliases_stay_forbidden(alias: str) -> None:
    for _ in range(2):
        with pytest.raises(ValueError, match="aliases cannot contain"):
            User.objects.values(alias)
