"""From a tree of a plan to the function that makes objects of rows.

The function is compiled from a source, as dataclasses do with __init__: it runs for every row, and
so it is one expression without a loop over fields."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from quintette.db.shapes.plan import Cell, Children, Fixed, Many, Node, Object, Row


def _only(found: list[Any] | None) -> Any:
    return found[0] if found else None


class _Source:
    def __init__(self) -> None:
        self.names: dict[str, Any] = {"_only": _only}

    def name(self, value: Any) -> str:
        name = f"_{len(self.names)}"
        self.names[name] = value
        return name

    def of(self, node: Node) -> str:
        if isinstance(node, Cell):
            value = f"row[{node.column}]"
            return value if node.convert is None else f"{self.name(node.convert)}({value})"
        if isinstance(node, Fixed):
            return f"{self.name(node.make)}()"
        if isinstance(node, Many):
            found = f"children[{node.slot}].get(row[{node.column}]"
            if node.container is None:
                return f"_only({found}))"
            return f"{self.name(node.container)}({found}, ()))"
        return self._object(node)

    def _object(self, node: Object) -> str:
        arguments, positional = [], True
        parameters = dict(inspect.signature(node.shape).parameters)
        given = dict(node.members)
        for name, parameter in parameters.items():
            if name not in given:  # it keeps its default, and those behind it need their names
                positional = False
                continue
            positional = positional and parameter.kind is not parameter.KEYWORD_ONLY
            value = self.of(given[name])
            arguments.append(value if positional else f"{name}={value}")
        call = f"{self.name(node.shape)}({', '.join(arguments)})"
        if node.null_column is None:
            return call
        return f"(None if row[{node.null_column}] is None else {call})"


def builder(node: Node) -> Callable[[Row, Sequence[Children]], Any]:
    source = _Source()
    code = f"lambda row, children: {source.of(node)}"
    build: Callable[[Row, Sequence[Children]], Any] = eval(code, source.names)
    return build
