"""The compiler that writes each statement once, beside Django's own."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import EmptyResultSet
from django.db import models
from django.db.models import F, Q, Value
from django.db.models.functions import Lower
from django.db.models.sql.compiler import SQLCompiler as DjangoCompiler
from django.db.models.sql.query import Query

from quintette.db import statements
from quintette.db.sqlite3.base import DatabaseWrapper
from quintette.db.statements import SQLCompiler

WHEN = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
Make = Callable[[Any], models.QuerySet[Any]]

# Querysets of one shape, made with each of two values; their SQL is kept.
KEPT: dict[str, tuple[Make, Any, Any]] = {
    "all": (lambda v: User.objects.all(), 1, 2),
    "primary key": (lambda v: User.objects.filter(pk=v), 1, 2),
    "text": (lambda v: User.objects.filter(username=v), "a", "b' --"),
    "of another table": (lambda v: Permission.objects.filter(content_type__app_label=v), "x", "y"),
    "relation": (lambda v: Permission.objects.filter(content_type=v), 1, 2),
    "many to many": (lambda v: User.objects.filter(groups__name=v), "x", "y"),
    "patterns": (
        lambda v: User.objects.filter(
            username__contains=v, email__istartswith=v, last_name__endswith=v
        ),
        "a%",
        "b_\\",
    ),
    "comparisons": (lambda v: User.objects.filter(pk__gt=v, pk__lte=v + 10), 1, 2),
    "times": (lambda v: User.objects.filter(date_joined__gte=v), WHEN, WHEN + dt.timedelta(1)),
    "or, not": (lambda v: User.objects.exclude(Q(pk=v) | Q(username="x")), 1, 2),
    "null": (lambda v: User.objects.filter(last_login__isnull=True, pk=v), 1, 2),
    "truth": (lambda v: User.objects.filter(is_active=True, is_staff=False, pk=v), 1, 2),
    "in": (lambda v: User.objects.filter(pk__in=v), [1, 2], [3, 4]),
    "in, of relations": (
        lambda v: Permission.objects.filter(content_type__in=v),
        [ContentType(pk=1), ContentType(pk=2)],
        [ContentType(pk=3), ContentType(pk=4)],
    ),
    "only": (lambda v: User.objects.filter(pk=v).only("username"), 1, 2),
    "defer": (lambda v: User.objects.filter(pk=v).defer("username"), 1, 2),
    "values": (lambda v: User.objects.filter(pk=v).values("username", "pk"), 1, 2),
    "values_list": (lambda v: User.objects.filter(pk=v).values_list("pk", flat=True), 1, 2),
    "order": (lambda v: User.objects.filter(pk__gt=v).order_by("-username", "pk"), 1, 2),
    "slice": (lambda v: User.objects.filter(pk__gt=v)[2:7], 1, 2),
    "distinct": (lambda v: User.objects.filter(pk__gt=v).distinct(), 1, 2),
    "select_related": (
        lambda v: Permission.objects.filter(pk=v).select_related("content_type"),
        1,
        2,
    ),
}

# Each pair differs in its SQL.
DIFFERENT: dict[str, tuple[models.QuerySet[Any], models.QuerySet[Any]]] = {
    "field": (User.objects.filter(username="x"), User.objects.filter(email="x")),
    "model": (User.objects.filter(pk=1), Group.objects.filter(pk=1)),
    "lookup": (User.objects.filter(pk__gt=1), User.objects.filter(pk__gte=1)),
    "connector": (
        User.objects.filter(Q(pk=1) | Q(username="x")),
        User.objects.filter(Q(pk=1) & Q(username="x")),
    ),
    "negation": (User.objects.filter(username="x"), User.objects.exclude(username="x")),
    "order": (User.objects.order_by("pk"), User.objects.order_by("-pk")),
    "limit": (User.objects.all()[:3], User.objects.all()[:4]),
    "offset": (User.objects.all()[1:4], User.objects.all()[:4]),
    "columns": (User.objects.values("pk"), User.objects.values("email")),
    "deferred": (User.objects.only("email"), User.objects.defer("email")),
    "null": (
        User.objects.filter(last_login__isnull=True),
        User.objects.filter(last_login__isnull=False),
    ),
    "values": (User.objects.filter(pk__in=[1]), User.objects.filter(pk__in=[1, 2])),
    "join": (User.objects.filter(groups__name="x"), Group.objects.filter(name="x")),
    "distinct": (User.objects.all(), User.objects.distinct()),
}

# What the key says too little about.
UNKNOWN: dict[str, models.QuerySet[Any]] = {
    "annotation": User.objects.annotate(lower=Lower("username")),
    "expression": User.objects.filter(username=F("email")),
    "subquery": User.objects.filter(pk__in=Group.objects.values("pk")),
    "transform": User.objects.filter(date_joined__year=2026),
    "value": User.objects.filter(username=Value("x")),
    "union": User.objects.filter(pk=1).union(User.objects.filter(pk=2)),
    "extra": User.objects.extra(where=["1=1"]),
    "ordered by an expression": User.objects.order_by(Lower("username")),
    "subclass of a type": User.objects.filter(username=type("Text", (str,), {})("x")),
}


@pytest.fixture
def connection() -> Iterator[Any]:
    from django.db import connections

    settings = {**connections["default"].settings_dict, "ENGINE": "quintette.db.sqlite3"}
    statements.forget()
    yield DatabaseWrapper(settings, "statements")
    statements.forget()


def written(connection: Any, queryset: models.QuerySet[Any]) -> tuple[Any, SQLCompiler]:
    compiler = queryset.query.clone().get_compiler(connection=connection)
    assert isinstance(compiler, SQLCompiler)
    return compiler.as_sql(), compiler


def djangos(connection: Any, queryset: models.QuerySet[Any]) -> tuple[Any, DjangoCompiler]:
    compiler = DjangoCompiler(queryset.query.clone(), connection, None)
    return compiler.as_sql(), compiler


@pytest.mark.parametrize("name", KEPT)
def test_the_same_sql_with_other_parameters(connection: Any, name: str) -> None:
    make, *values = KEPT[name]
    for value in [*values, values[0]]:
        queryset = make(value)
        mine, compiler = written(connection, queryset)
        theirs, other = djangos(connection, queryset)
        assert mine == theirs
        assert [str(column) for column in compiler.select] == [str(c) for c in other.select]
        assert compiler.annotation_col_map == other.annotation_col_map
        assert compiler.col_count == other.col_count
        assert (compiler.klass_info or {}).keys() == (other.klass_info or {}).keys()
    assert [s is not None for s in statements._statements["statements"].values()] == [True]
    assert compiler._statement is not None


@pytest.mark.parametrize("name", DIFFERENT)
@pytest.mark.parametrize("order", [1, -1])
def test_differences_are_in_the_key(connection: Any, name: str, order: int) -> None:
    first, second = DIFFERENT[name][::order]
    assert djangos(connection, first)[0][0] != djangos(connection, second)[0][0]
    for queryset in (first, second, first, second):
        assert written(connection, queryset)[0] == djangos(connection, queryset)[0]


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_is_not_plain_is_written_anew(connection: Any, name: str) -> None:
    queryset = UNKNOWN[name]
    assert statements.keys(queryset.query, []) is None
    for _ in range(2):
        mine, compiler = written(connection, queryset)
        assert mine == djangos(connection, queryset)[0]
        assert compiler._statement is None


def test_equal_values_of_an_in(connection: Any) -> None:
    for values in ([1, 2], [3, 3], [5, 6]):
        queryset = User.objects.filter(pk__in=values)
        assert written(connection, queryset)[0] == djangos(connection, queryset)[0]


def test_equal_values_of_one_in_and_different_ones_of_another(connection: Any) -> None:
    """As many parameters in all, but not as many placeholders in each list."""
    for keys, names in (([1, 2], ["a", "a"]), ([1, 1], ["a", "b"]), ([1, 2], ["c", "c"])):
        queryset = User.objects.filter(pk__in=keys).filter(username__in=names)
        assert written(connection, queryset)[0] == djangos(connection, queryset)[0]


def test_a_value_out_of_range_makes_another_query(connection: Any) -> None:
    written(connection, User.objects.filter(pk=1))
    with pytest.raises(EmptyResultSet):
        written(connection, User.objects.filter(pk=2**70))
    for number in (1, 2**63 - 1):
        either = User.objects.filter(Q(pk=number) | Q(username="x"))
        assert written(connection, either)[0] == djangos(connection, either)[0]


def test_a_models_order(connection: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for ordering in ([], ["username"], ["-username"], []):
        monkeypatch.setattr(User._meta, "ordering", ordering)
        queryset = User.objects.filter(pk=1)
        assert written(connection, queryset)[0] == djangos(connection, queryset)[0]


def test_their_number_is_bounded(connection: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statements, "STATEMENTS_MAX", 10)
    for limit in range(1, 100):
        written(connection, User.objects.all()[:limit])
        assert len(statements._statements["statements"]) <= 10


def test_the_query_knows_its_table(connection: Any) -> None:
    for _ in range(2):
        query = User.objects.all().query
        query.get_compiler(connection=connection).as_sql()
        assert (list(query.alias_map), query.alias_refcount) == (["auth_user"], {"auth_user": 0})


def test_a_query_without_a_model_has_no_key() -> None:
    """Which is what Q.check() and so the validation of constraints makes."""
    assert statements.keys(Query(None), []) is None


def test_the_compiler_has_djangos_name(connection: Any) -> None:
    compiler = User.objects.all().query.get_compiler(connection=connection)
    assert repr(compiler).startswith("<SQLCompiler model=User")


def test_long_queries_have_no_key(connection: Any) -> None:
    many = Q()
    for number in range(400):
        many |= Q(username=str(number), pk=number)
    queryset = User.objects.filter(many)
    assert statements.keys(queryset.query, []) is None
    assert written(connection, queryset)[0] == djangos(connection, queryset)[0]
