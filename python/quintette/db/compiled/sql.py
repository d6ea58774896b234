"""SQL with numbered parameters, out of what Django's compiler gives."""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from quintette.db.compiled.errors import CompileError, OutOfBoundsError
from quintette.db.compiled.placeholders import BOUND_FIRST, Slice, Sum, Trace
from quintette.db.compiled.uses import INT8, TOKEN_CLOSE, TOKEN_OPEN, Prepare, Use

# Shared with binding/query/query.h (q5py_slot_kind).
ARGUMENT, SUM, LOW, COUNT, CONSTANT, PYTHON = range(6)

_SPOT = re.compile(r"%s|%%|\b\d{18,}\b")
_TOKEN = re.compile(f"{TOKEN_OPEN}(\\\\?)_(\\d+){TOKEN_CLOSE}")
_LIKE = str.maketrans({"\\": r"\\", "%": r"\%", "_": r"\_"})


class Slot(NamedTuple):
    """One parameter of the SQL: how it is made of the arguments."""

    value: Any  # Sum, Slice, or a constant
    oid: int  # PostgreSQL's type; 0: inferred by the server
    prepare: Prepare | None
    escaped: bool  # for LIKE
    before: str
    after: str

    @property
    def key(self) -> tuple[Any, ...]:
        value = self.value
        if isinstance(value, Sum):
            what: Any = value.terms
        else:
            what = id(value)
        return what, self.oid, self.prepare and id(self.prepare), *self[3:]

    @property
    def is_constant(self) -> bool:
        return not isinstance(self.value, (Sum, Slice))

    def described(self) -> tuple[Any, ...]:
        """For C: binding/query/query_bind.c."""
        value, none = self.value, None
        kind, argument, low, high = CONSTANT, 0, none, none
        if self.prepare is not None:
            kind = PYTHON
        elif isinstance(value, Slice):
            kind, low = LOW, _terms(value.low)
            if value.high is not None:
                kind, high = COUNT, _terms(value.high)
        elif isinstance(value, Sum):
            single = value.single
            kind, low = (SUM, _terms(value)) if single is None else (ARGUMENT, none)
            argument = single or 0
        constant = value if kind == CONSTANT else None
        before, after = self.before.encode(), self.after.encode()
        return kind, argument, self.oid, low, high, constant, self.escaped, before, after

    def bind(self, arguments: Sequence[Any], connection: Any) -> Any:
        """The database's value. Raises OutOfBoundsError."""
        value = self.value
        if isinstance(value, Sum):
            single = value.single
            value = arguments[single] if single is not None else value.evaluate(arguments)
            if isinstance(value, enum.Enum):
                value = value.value
        elif isinstance(value, Slice):
            return rows_of(value, arguments)
        if self.prepare is not None:
            return self.prepare(value, connection)
        if self.escaped:
            value = value.translate(_LIKE)
        return f"{self.before}{value}{self.after}" if self.before or self.after else value


def _terms(value: Sum) -> tuple[tuple[int, int, int], ...]:
    """(factor, index, index) each; -1: no index."""
    return tuple((factor, *indices, *(-1,) * (2 - len(indices))) for indices, factor in value.terms)  # type: ignore[misc]


def rows_of(bounds: Slice, arguments: Sequence[Any]) -> int:
    low = bounds.low.evaluate(arguments)
    high = low if bounds.high is None else bounds.high.evaluate(arguments)
    for bound, value in ((bounds.low, low), (bounds.high or bounds.low, high)):
        if value < 0:  # in the words of QuerySet.__getitem__()
            raise OutOfBoundsError(bound.arguments, "Negative indexing is not supported.")
    return low if bounds.high is None else max(high - low, 0)


class SQL:
    """A statement's text in pieces, and its slots."""

    def __init__(self, pieces: tuple[str | int, ...], slots: tuple[Slot, ...]) -> None:
        self._pieces = pieces
        self.slots = slots

    def text(self, style: str) -> str:
        """style: how a slot is written, such as "${}" or "?{}", numbered from 1."""
        return "".join(
            piece if isinstance(piece, str) else style.format(piece + 1) for piece in self._pieces
        )

    def named(self) -> str:
        """For psycopg: %(p1)s, everything else escaped."""
        return "".join(
            piece.replace("%", "%%") if isinstance(piece, str) else f"%(p{piece + 1})s"
            for piece in self._pieces
        )


def assemble(sql: str, params: Sequence[Any], trace: Trace, connection: Any) -> SQL:
    pieces: list[str | int] = []
    slots: list[Slot] = []
    numbers: dict[tuple[Any, ...], int] = {}

    def put(slot: Slot) -> None:
        number = numbers.setdefault(slot.key, len(slots))
        if number == len(slots):
            slots.append(slot)
        pieces.append(number)

    rest = iter(params)
    end = 0
    for spot in _SPOT.finditer(sql):
        pieces.append(sql[end : spot.start()])
        end = spot.end()
        if spot[0] == "%%":
            pieces.append("%")
        elif spot[0] != "%s":
            put(_slice_slot(int(spot[0]), trace))
        else:
            value = next(rest)
            slot = _slot(value, trace)
            if slot is not None:
                put(slot)
            elif connection.vendor == "postgresql":
                pieces.append(_literal(value, connection))
            else:
                put(Slot(value, 0, None, False, "", ""))
    pieces.append(sql[end:])
    return SQL(tuple(_joined(pieces)), tuple(slots))


def _joined(pieces: list[str | int]) -> list[str | int]:
    joined: list[str | int] = []
    for piece in pieces:
        if joined and isinstance(piece, str) and isinstance(joined[-1], str):
            joined[-1] += piece
        elif piece != "":
            joined.append(piece)
    return joined


def _slice_slot(number: int, trace: Trace) -> Slot:
    bounds = trace.slices.get(number)
    if bounds is None:
        raise CompileError(f"a number that nobody has written is in the SQL: {number}")
    return Slot(bounds, INT8, None, False, "", "")


def _slot(value: Any, trace: Trace) -> Slot | None:
    """None: a constant."""
    if isinstance(value, Use):
        return Slot(value.value, value.oid, value.prepare, False, "", "")
    if isinstance(value, str) and TOKEN_OPEN in value:
        found = _TOKEN.search(value)
        if found is None or _TOKEN.search(value, found.end()):
            raise CompileError("a parameter cannot be read back out of the SQL")
        use = trace.uses[int(found[2])]
        if use.whole:
            return Slot(use.value, use.oid, use.prepare, False, "", "")
        before, after = value[: found.start()], value[found.end() :]
        return Slot(use.value, use.oid, use.prepare, bool(found[1]), before, after)
    if isinstance(value, int) and value >= BOUND_FIRST:
        raise CompileError("a bound of a slice is used as a value: pass it as it is, without int()")
    return None


def _literal(value: Any, connection: Any) -> str:
    """A constant, as Django's own cursor writes it into the text."""
    from django.conf import settings
    from django.db.backends.postgresql.psycopg_any import get_adapters_template
    from psycopg import sql

    adapters = get_adapters_template(settings.USE_TZ, connection.timezone)
    return sql.Literal(value).as_string(adapters)
