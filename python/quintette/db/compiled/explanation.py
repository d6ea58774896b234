"""What `explain()` says: the SQL, who makes which value, the database's plan."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from django.db import connections

from quintette.db.compiled.columns import PYTHON

if TYPE_CHECKING:
    from quintette.db.compiled.statement import Statement


def explained(statement: Statement, arguments: Sequence[Any]) -> str:
    if statement.is_empty:
        return "No SQL: there can be no rows."
    parts = [statement.sql.text("${}"), "", *_children(statement), *_notes(statement)]
    return "\n".join([*parts, *_plan(statement, arguments)])


def _children(statement: Statement) -> Iterator[str]:
    """What runs with it."""
    for child in statement.children:
        yield child.sql.text("${}")
        yield ""
        yield from _children(child)


def _notes(statement: Statement) -> list[str]:
    notes = [
        f"Column {index} through Python: {output.why}"
        for index, output in enumerate(statement.outputs)
        if output.column.value == PYTHON
    ]
    notes += [
        f"Parameter ${index} through Python: its field prepares it"
        for index, slot in enumerate(statement.sql.slots, 1)
        if slot.prepare is not None
    ]
    if statement.apart:
        notes.append(f"To-many fields by the rows' keys, one after the other: {statement.apart}")
    if not statement.node.in_c:
        notes.append("Rows through Python: the shape computes values")
    return [*notes, ""] if notes else []


def _plan(statement: Statement, arguments: Sequence[Any]) -> list[str]:
    connection = connections[statement.alias]
    values = statement.bind(arguments, connection)
    named = {f"p{number}": value for number, value in enumerate(values, 1)}
    prefix = connection.ops.explain_query_prefix()
    with connection.cursor() as cursor:
        cursor.execute(f"{prefix} {statement.sql.named()}", named)
        return [" ".join(str(value) for value in row) for row in cursor.fetchall()]
