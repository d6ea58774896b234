"""What a function that is being compiled is called with, instead of values.

A `Param` is what the function sees: Django takes it wherever it takes an expression, slices take it
as a number, and integer parameters can be added and multiplied. Asking it for its value fails, with
words about what to do; where the values are few, the answer is one SQL per value instead.
"""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, NoReturn

from django.db.models import Field, QuerySet
from django.db.models.expressions import Combinable, Expression

from quintette.db.compiled.errors import CompileError, OutOfBoundsError
from quintette.db.compiled.uses import Use, expression_use

INT64_MIN, INT64_MAX = -(1 << 63), (1 << 63) - 1

# Numbers that stand for a slice's bounds until the SQL is there: above any that one would write.
BOUND_FIRST = 1 << 59
_BOUND_STEP = 1 << 20
_bounds = itertools.count(BOUND_FIRST, _BOUND_STEP)


class NeedsValue(Exception):  # noqa: N818  (a request, not an error)
    """The function looked at the value of a parameter that has few."""

    def __init__(self, index: int) -> None:
        super().__init__(index)
        self.index = index


class Sum:
    """A sum of products of arguments: what the integers of a call are made of."""

    __slots__ = ("terms",)

    def __init__(self, terms: dict[tuple[int, ...], int]) -> None:
        # indices of up to two parameters (none: a constant) -> coefficient; none is zero
        self.terms = tuple(sorted((indices, c) for indices, c in terms.items() if c))

    @classmethod
    def constant(cls, value: int) -> Sum:
        return cls({(): value})

    @classmethod
    def argument(cls, index: int) -> Sum:
        return cls({(index,): 1})

    @property
    def single(self) -> int | None:
        """The index of the parameter that it is, if it is one."""
        if len(self.terms) == 1 and len(self.terms[0][0]) == 1 and self.terms[0][1] == 1:
            return self.terms[0][0][0]
        return None

    def __add__(self, other: Sum) -> Sum:
        terms = dict(self.terms)
        for indices, coefficient in other.terms:
            terms[indices] = terms.get(indices, 0) + coefficient
        return Sum(terms)

    def __neg__(self) -> Sum:
        return Sum({indices: -c for indices, c in self.terms})

    def __mul__(self, other: Sum) -> Sum:
        terms: dict[tuple[int, ...], int] = {}
        for left, c in self.terms:
            for right, d in other.terms:
                indices = tuple(sorted(left + right))
                if len(indices) > 2:
                    raise CompileError("a product of more than two parameters: pass it as one")
                terms[indices] = terms.get(indices, 0) + c * d
        return Sum(terms)

    @property
    def arguments(self) -> list[int]:
        """The indices of the parameters that it is made of."""
        return sorted({index for indices, _ in self.terms for index in indices})

    def evaluate(self, arguments: Sequence[Any]) -> int:
        """Raises OutOfBoundsError for what a database's integer cannot hold."""
        value: int = sum(c * math.prod(arguments[i] for i in indices) for indices, c in self.terms)
        if not INT64_MIN <= value <= INT64_MAX:
            raise OutOfBoundsError(self.arguments, "what is computed of it exceeds 64 bits")
        return value


class Slice:
    """LIMIT or OFFSET: a count of rows."""

    def __init__(self, low: Sum, high: Sum | None) -> None:
        self.low = low
        self.high = high  # None: it is the offset


class Trace:
    """What one compilation has met: bounds of slices, places where parameters stand."""

    def __init__(self) -> None:
        self.bounds: dict[int, Sum] = {}  # the number that stands for it -> the bound
        self.slices: dict[int, Slice] = {}  # the number that stands for it in the SQL -> it
        self.uses: list[Use] = []

    def mint(self, value: Sum) -> int:
        number = next(_bounds)
        self.bounds[number] = value
        return number

    def mint_slice(self, value: Slice) -> int:
        number = next(_bounds)
        self.slices[number] = value
        return number


class Parameter(NamedTuple):
    """What a placeholder stands for."""

    name: str
    value: Sum  # for what is no integer: the parameter itself
    field: Field[Any, Any] | None  # what it is in SQL where nothing else says; None: a list
    kind: type  # of the value, or of each one of a list
    few: bool  # its values can be told apart: one variant for each is possible
    many: bool
    trace: Trace

    @property
    def is_int(self) -> bool:
        return self.kind is int and not self.many and not self.few


class Param(Combinable):
    """The placeholder of one parameter, or of an integer that is computed from some. It has no
    public attribute: whatever the function asks for was meant for the value."""

    def __init__(self, of: Parameter) -> None:
        self._of = of

    # --- as an expression ---------------------------------------------------------------

    def resolve_expression(self, *args: Any, **kwargs: Any) -> BoundParam:
        return BoundParam(self._of)

    def _combined(self, other: Any, combine: Callable[[Sum, Sum], Sum]) -> Param | None:
        """The sum or product, when both sides are integers that are known at the call."""
        mine = self._of
        if isinstance(other, Param) and other._of.is_int:
            value = other._of.value
        elif type(other) is int:
            value = Sum.constant(other)
        else:
            return None
        if not mine.is_int:
            return None
        return Param(mine._replace(name=f"{mine.name}, computed", value=combine(mine.value, value)))

    def _either(self, other: Any, combine: Any, otherwise: Any) -> Any:
        combined = self._combined(other, combine)
        return otherwise(self, other) if combined is None else combined

    def __add__(self, other: Any) -> Any:
        return self._either(other, lambda a, b: a + b, Combinable.__add__)

    def __sub__(self, other: Any) -> Any:
        return self._either(other, lambda a, b: a + -b, Combinable.__sub__)

    def __mul__(self, other: Any) -> Any:
        return self._either(other, lambda a, b: a * b, Combinable.__mul__)

    def __radd__(self, other: Any) -> Any:
        return self._either(other, lambda a, b: a + b, Combinable.__radd__)

    def __rsub__(self, other: Any) -> Any:
        return self._either(other, lambda a, b: b + -a, Combinable.__rsub__)

    def __rmul__(self, other: Any) -> Any:
        return self._either(other, lambda a, b: a * b, Combinable.__rmul__)

    # --- as a bound of a slice ----------------------------------------------------------

    def __int__(self) -> int:
        if not self._of.is_int or sys._getframe(1).f_code is not _getitem:
            self._refuse("its int()")
        return self._of.trace.mint(self._of.value)

    def __lt__(self, other: Any) -> bool:
        if other == 0 and self._of.is_int and sys._getframe(1).f_code is _getitem:
            return False  # negative bounds are refused when values are bound
        return self._refuse("a comparison")

    # --- what has no answer while there is no value --------------------------------------

    def _refuse(self, what: str) -> NoReturn:
        if self._of.few and self._of.value.single is not None:
            raise NeedsValue(self._of.value.single)
        raise CompileError(
            f"the query is compiled before there are values, so {what} cannot be had of "
            f"parameter {self._of.name!r}: let the database decide (filter, Case/When), make the "
            f"parameter `bool`, a `Literal` or an `Enum` to get one query per value, or "
            f"`... | None` to leave a filter out when it is None"
        )

    def __bool__(self) -> bool:
        return self._refuse("its truth")

    def __eq__(self, other: object) -> bool:
        return self is other or self._refuse("a comparison")

    def __ne__(self, other: object) -> bool:
        return self is not other and self._refuse("a comparison")

    def __hash__(self) -> int:
        if self._of.few:
            self._refuse("a look-up by its value")
        return id(self)

    def __gt__(self, other: Any) -> bool:
        return self._refuse("a comparison")

    __le__ = __ge__ = __gt__

    def __iter__(self) -> Iterator[Any]:
        self._refuse("a loop over it")

    def __str__(self) -> str:
        return self._refuse("its text")

    def __format__(self, spec: str) -> str:
        return self._refuse("its text")

    def __repr__(self) -> str:
        return f"<parameter {self._of.name}>"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name in _ASKED_FOR:
            raise AttributeError(name)
        if self._of.few:
            self._refuse("an attribute")
        raise CompileError(
            f"{name!r} cannot be had of parameter {self._of.name!r}: the query is compiled before "
            f"there are values. Do it before the call, or with a database function"
        )


_getitem = QuerySet.__getitem__.__code__
# What Django looks for to find out what a value is.
_ASKED_FOR = frozenset({
    "as_sql", "get_source_expressions", "conditional", "contains_aggregate",
    "contains_over_clause", "query", "prepare_database_save", "set_source_expressions",
    "allowed_default", "flatten", "resolve_lookup", "get_lookup", "select_format",
    "get_group_by_cols", "relabeled_clone", "template", "as_sqlite", "as_postgresql",
})  # fmt: skip


class BoundParam(Expression):
    """A parameter within a query: as much an expression as a `Value`."""

    def __init__(self, param: Parameter) -> None:
        super().__init__(output_field=param.field)
        self.param = param
        self.rules: Field[Any, Any] | None = None  # whose rules its value follows; None: its own
        self.is_number = False  # it stands where an integer of 8 bytes may stand
        self._use: Use | None = None

    def get_source_expressions(self) -> list[Any]:
        return []

    def get_group_by_cols(self) -> list[Any]:
        return []

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        if self._use is None:
            self._use = expression_use(self, connection)
        return "%s", [self._use]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BoundParam) and self.param == other.param

    def __hash__(self) -> int:
        return hash((self.param.name, self.param.value.terms))

    def __repr__(self) -> str:
        return f"<parameter {self.param.name}>"
