"""What a row becomes: a tree that Python walks, and the same as a list of steps for C.

Steps are tuples, in the order of q5_row_plan's calls (include/q5/row.h):
(CELL, name, column), (OPEN, name, bracket, null column or -1), (CLOSE,),
(MANY, name, slot, first column of the key, columns of the key).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from quintette.db.shapes.plan import RowPlan

CELL: Final = 0
OPEN: Final = 1
CLOSE: Final = 2
MANY: Final = 3

Step = tuple[Any, ...]
# For each slot: key -> the values of the children, in their order.
Children = Sequence[Mapping[tuple[Any, ...], list[Any]]]


class Node:
    in_c = True
    """Whether the steps say everything; if not, only Python makes the values."""
    asks = False
    """Whether making the values runs further queries."""
    plan: RowPlan | None = None
    """Of a shape, from the row's first column on."""

    def steps(self, name: str) -> Iterator[Step]:
        raise NotImplementedError

    def build(self, row: Sequence[Any], children: Children) -> Any:
        raise NotImplementedError

    def build_all(self, rows: Sequence[Sequence[Any]], alias: str) -> list[Any]:
        """The values of all rows; alias: of the database that they came from."""
        return [self.build(row, ()) for row in rows]


class Cell(Node):
    def __init__(self, column: int) -> None:
        self.column = column

    def steps(self, name: str) -> Iterator[Step]:
        yield CELL, name, self.column

    def build(self, row: Sequence[Any], children: Children) -> Any:
        return row[self.column]


class Object(Node):
    """make: given the values in the order of the members; None: a dict of them."""

    def __init__(
        self,
        members: Sequence[tuple[str, Node]],
        null_column: int = -1,
        make: Callable[..., Any] | None = None,
    ) -> None:
        self.members = tuple(members)
        self.null_column = null_column
        self.make = make

    def is_row(self) -> bool:
        """Whether it is made of the whole row as it is."""
        return self.null_column < 0 and all(
            type(node) is Cell and node.column == index
            for index, (_, node) in enumerate(self.members)
        )

    def build_all(self, rows: Sequence[Sequence[Any]], alias: str) -> list[Any]:
        if self.make is not None and self.is_row():
            return list(itertools.starmap(self.make, rows))
        return super().build_all(rows, alias)

    def steps(self, name: str) -> Iterator[Step]:
        yield OPEN, name, "{", self.null_column
        for key, node in self.members:
            yield from node.steps(key)
        yield (CLOSE,)

    def build(self, row: Sequence[Any], children: Children) -> Any:
        if self.null_column >= 0 and row[self.null_column] is None:
            return None
        if self.make is not None:
            return self.make(*(node.build(row, children) for _, node in self.members))
        return {key: node.build(row, children) for key, node in self.members}


class Array(Node):
    def __init__(self, items: Sequence[Node]) -> None:
        self.items = tuple(items)

    def steps(self, name: str) -> Iterator[Step]:
        yield OPEN, name, "[", -1
        for node in self.items:
            yield from node.steps("")
        yield (CLOSE,)

    def build(self, row: Sequence[Any], children: Children) -> Any:
        return tuple(node.build(row, children) for node in self.items)


class Many(Node):
    """The children of this row: those whose first columns, their key, equal these."""

    def __init__(self, slot: int, column: int, columns: int = 1) -> None:
        self.slot = slot
        self.column = column
        self.columns = columns

    def steps(self, name: str) -> Iterator[Step]:
        yield MANY, name, self.slot, self.column, self.columns

    def build(self, row: Sequence[Any], children: Children) -> Any:
        key = tuple(row[self.column : self.column + self.columns])
        return children[self.slot].get(key, [])


def steps_of(node: Node) -> tuple[Step, ...] | None:
    """None: only Python makes the values."""
    return tuple(node.steps("")) if node.in_c else None
