"""The tree of a plan as C walks it: rows to JSON without an object between."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from quintette.db.compiled import nodes
from quintette.db.shapes import fieldtypes
from quintette.db.shapes.plan import Cell, Many, Node, Object

# Converters that change nothing in JSON: an Enum's member is its value there.
_SAME_IN_JSON: tuple[type[Any], ...] = (fieldtypes.Member,)


def _is_same_in_json(convert: Callable[[Any], Any] | None) -> bool:
    return convert is None or convert is fieldtypes.to_bytes or isinstance(convert, _SAME_IN_JSON)


def tree_of(node: Node, first: int = 0) -> nodes.Node | None:
    """first: where the plan's columns begin in a row. None: Python makes a value of a column or of
    many rows, computes a field, or keeps a default."""
    if isinstance(node, Cell):
        return nodes.Cell(first + node.column) if _is_same_in_json(node.convert) else None
    if isinstance(node, Many):
        listed = node.container in (list, tuple)
        return nodes.Many(node.slot, first + node.column) if listed else None
    if not isinstance(node, Object):
        return None
    config = node.shape.__struct_config__
    plain = config.tag is None and not config.array_like and not config.omit_defaults
    if not plain or len(node.members) != len(node.shape.__struct_fields__):
        return None
    members = []
    for key, (_, member) in zip(node.shape.__struct_encode_fields__, node.members, strict=True):
        inner = tree_of(member, first)
        if inner is None:
            return None
        members.append((key, inner))
    return nodes.Object(members, -1 if node.null_column is None else first + node.null_column)
