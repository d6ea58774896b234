"""What cannot be compiled says where, why, and what to do."""

import decimal

import msgspec
import pytest
from compiled_models import City
from django.db.models import Count

from quintette.db.compiled import CompileError, compiled

cities = City.objects.using("compiled_sqlite")


@pytest.fixture(autouse=True)
def database(sqlite_alias):
    pass


# --- functions that are refused when they are declared ------------------------------------


def untyped(name):
    return cities.filter(name=name)


def star(*names: str):
    return cities.filter(name__in=names)


def unknown(name: object):
    return cities.filter(name=name)


def bare(ids: list):
    return cities.filter(id__in=ids)


async def waits(name: str):
    return cities.filter(name=name)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (untyped, "parameter 'name' has no type: annotate it"),
        (star, r"\*names: name each parameter"),
        (unknown, "parameter 'name': .* is no type that a query takes"),
        (bare, r"say what the list holds, such as `list\[int\]`"),
        (waits, "a compiled query is a plain function"),
    ],
)
def test_declaration(function, message):
    with pytest.raises(CompileError, match=message) as raised:
        compiled(function)
    assert f"line {function.__code__.co_firstlineno}, in {function.__name__}" in str(raised.value)


# --- functions that are refused when they are compiled ---------------------------------------


def method(name: str):
    return cities.filter(name=name.lower())


def text(name: str):
    return cities.filter(name=f"{name}!")


def truth(n: int):
    return cities.filter(id=n) if n else cities


def comparison(n: int):
    return cities[: min(100, n)]


def smaller(n: int):
    return cities[: min(n, 100)]


def loop(ids: list[int]):
    return cities.filter(id__in=[i + 1 for i in ids])


def whole_list(ids: list[int]):
    return cities.filter(id=ids)


def whole_number(n: int):
    return cities.filter(id=int(n))


def twice(n: int):
    return cities[n:][:n]


def runs(n: int):
    if cities.filter(id=n).exists():
        return cities
    return cities.none()


def computes(n: int):
    return cities.filter(id__gt=n).count() + 1


def evaluates(n: int):
    return list(cities.filter(id__gt=n))


def returns_none(n: int):
    cities.filter(id=n)


def writes(n: int):
    return cities.filter(id=n).update(name="x")


def deletes(n: int):
    return cities.filter(id=n).delete()


def prefetches(n: int):
    return cities.prefetch_related("country").filter(id=n)


def misspelt(n: int):
    return cities.filter(idd=n)


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (method, ["x"], "'lower' cannot be had of parameter 'name'"),
        (text, ["x"], "its text cannot be had of parameter 'name'"),
        (truth, [1], "its truth cannot be had of parameter 'n'"),
        (comparison, [1], "a comparison cannot be had of parameter 'n'"),
        (smaller, [1], "a comparison cannot be had of parameter 'n'"),
        (loop, [[1]], "a loop over it cannot be had of parameter 'ids'"),
        (whole_list, [[1]], "parameter 'ids' is a list: it can stand behind `__in`"),
        (whole_number, [1], r"its int\(\) cannot be had of parameter 'n'"),
        (twice, [1], "sliced twice"),
        (runs, [1], "goes on with the outcome"),
        (computes, [1], "goes on with the outcome"),
        (evaluates, [1], "runs a query"),
        (returns_none, [1], "it returned NoneType: return a queryset"),
        (writes, [1], "it writes"),
        (deletes, [1], "it writes|runs a query"),
        (prefetches, [1], "prefetch_related"),
        (misspelt, [1], "Cannot resolve keyword 'idd'"),
    ],
)
def test_compilation(function, arguments, message):
    with pytest.raises(CompileError, match=message) as raised:
        compiled(function)(*arguments)
    assert f", in {function.__name__}" in str(raised.value)


def test_line_is_that_of_the_expression():
    def several(n: int):
        found = cities.filter(id=1)
        found = found.annotate(k=Count("id"))
        return found.filter(name=str(n))

    with pytest.raises(CompileError) as raised:
        compiled(several)(1)
    assert f"line {several.__code__.co_firstlineno + 3}, in several" in str(raised.value)


# --- calls -------------------------------------------------------------------------------------


def call(n: int, *, price: decimal.Decimal | None = None, names: list[str] | None = None):
    return cities.filter(id=n)


@pytest.mark.parametrize(
    ("arguments", "keywords", "error", "message"),
    [
        ([], {}, TypeError, "misses the argument 'n'"),
        ([1, 2], {}, TypeError, "takes 1 positional argument"),
        ([1], {"n": 1}, TypeError, "multiple values for argument 'n'"),
        ([1], {"m": 1}, TypeError, "unexpected keyword argument 'm'"),
        (["1"], {}, msgspec.ValidationError, "n: Expected `int`, got `str`"),
        ([True], {}, msgspec.ValidationError, "n: Expected `int`, got `bool`"),
        ([1.5], {}, msgspec.ValidationError, "n: Expected `int`, got `float`"),
        ([None], {}, msgspec.ValidationError, "n: Expected `int`, got `null`"),
        ([1], {"price": "x"}, msgspec.ValidationError, "price: "),
        ([1], {"names": ["a", 1]}, msgspec.ValidationError, r"names: Expected `str`, got `int`"),
        ([1], {"names": "ab"}, msgspec.ValidationError, "names: Expected `array`"),
    ],
)
def test_call(arguments, keywords, error, message):
    with pytest.raises(error, match=message):
        compiled(call)(*arguments, **keywords)


# --- at start-up -------------------------------------------------------------------------------


def test_system_check_names_what_cannot_be_compiled():
    from quintette.apps import check_compiled

    wrong, right = compiled(method), compiled(call)
    (error,) = [error for error in check_compiled(None) if error.obj in (wrong, right)]
    assert error.obj is wrong
    assert "'lower' cannot be had of parameter 'name'" in error.msg
    assert error.id == "quintette.E003"
