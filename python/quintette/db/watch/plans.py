"""How a database would run a statement, by its ``EXPLAIN``, and where an index seems to be missing.

PostgreSQL: "Using EXPLAIN" in its manual, chapter 14.1. SQLite: https://www.sqlite.org/eqp.html.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

from django.apps import apps
from django.db import Error, transaction

# A table of fewer rows is read whole as fast as by an index.
LARGE_TABLE_ROWS = 5_000
PLAN_TIMEOUT_MS = 2_000
_EXPLAINED = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH", "VALUES", "(")
_PLACEHOLDER = re.compile(r"%s|%\(\w+\)s")
_IDENTIFIER = r'(?:"((?:[^"]|"")+)"|([A-Za-z_]\w*))'
# Of a filter as PostgreSQL writes it: `(country_id = 7)`, `((name)::text = 'x'::text)`.
_PG_COMPARED = re.compile(rf"\(\(*{_IDENTIFIER}\)?(?:::[a-z ]+)?\)? (?:=|<|>|<=|>=|IS) ")
_PG_FLAG = re.compile(rf"^\(*(?:NOT )?{_IDENTIFIER}\)*$")
_TEXT = re.compile(r"'(?:[^']|'')*'")
_QUOTED = re.compile(r'".*"')
_NUMBER = re.compile(r"(?<![\w.$])-?\d+(?:\.\d+)?(?:e[+-]?\d+)?\b", re.IGNORECASE)
_SQLITE_SCAN = re.compile(r"^SCAN (?:TABLE )?(\S+)(?: AS (\S+))?$")


class Plan(NamedTuple):
    lines: list[str]
    hints: list[str]


def can_explain(sql: str, params: Any) -> bool:
    """Of several statements EXPLAIN would be that of the first, and the others would run. Those of
    executemany() have lost their parameters."""
    if params is None and _PLACEHOLDER.search(sql):
        return False
    text = sql.strip()
    return text.upper().startswith(_EXPLAINED) and ";" not in text.rstrip(";")


def explain(connection: Any, sql: str, params: Any, *, read_only: bool = False) -> Plan | None:
    """None: it cannot be explained. Nothing of the statement is run; an open transaction goes on
    as it was. read_only: nor can a function write that the planner calls; outside of a transaction.
    """
    how = {"postgresql": _postgresql, "sqlite": _sqlite}.get(connection.vendor)
    if how is None or not can_explain(sql, params):
        return None
    try:
        with _apart(connection), connection.cursor() as cursor:
            if read_only and connection.vendor == "postgresql":
                cursor.execute("SET TRANSACTION READ ONLY")
            return how(connection, cursor, sql.strip().rstrip(";"), params)
    except Error as error:
        return Plan([f"no plan: {str(error).strip().splitlines()[0]}"], [])


def without_values(lines: list[str]) -> list[str]:
    """PostgreSQL writes what was bound into the conditions; a text may go on in the next line."""
    hidden = [
        line if "(cost=" in line else _NUMBER.sub("?", line)
        for line in _TEXT.sub("'?'", "\n".join(lines)).split("\n")
    ]
    return [_QUOTED.sub("...", line) if line.startswith("no plan: ") else line for line in hidden]


def _apart(connection: Any) -> AbstractContextManager[Any]:
    """An error would end PostgreSQL's transaction. SQLite's goes on; and one that our engine begins
    is a writer's."""
    if connection.vendor != "postgresql":
        return nullcontext()
    block: AbstractContextManager[Any] = transaction.atomic(using=connection.alias)
    return block


def _hint(table: str, rows: int, columns: list[str]) -> str:
    names = ", ".join(columns)
    hint = f"{table} ({rows:,} rows) is read whole to filter by {names}"
    fields = _fields_of(table, columns)
    if fields is None:
        return f"{hint}: an index on {names} seems to be missing"
    model, found = fields
    listed = ", ".join(f'"{name}"' for name in found)
    return f"{hint}: an index seems to be missing, models.Index(fields=[{listed}]) of {model}"


def _fields_of(table: str, columns: list[str]) -> tuple[str, list[str]] | None:
    for model in apps.get_models(include_auto_created=True):
        meta = model._meta
        if meta.db_table == table:
            names = {field.column: field.name for field in meta.local_concrete_fields}
            if all(column in names for column in columns):
                return meta.label, [names[column] for column in columns]
    return None


# --- PostgreSQL -------------------------------------------------------------------------


def _postgresql(connection: Any, cursor: Any, sql: str, params: Any) -> Plan:
    cursor.execute(f"SET LOCAL statement_timeout = {PLAN_TIMEOUT_MS}")
    cursor.execute(f"EXPLAIN {sql}", params)
    lines = [line for (line,) in cursor.fetchall()]
    cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}", params)
    (tree,) = cursor.fetchone()
    tree = json.loads(tree) if isinstance(tree, str) else tree
    hints = list(dict.fromkeys(_postgresql_hints(cursor, tree[0]["Plan"])))
    # What was SET ends with this block, also where that is a savepoint.
    transaction.set_rollback(True, using=connection.alias)
    return Plan(lines, hints)


def _postgresql_hints(cursor: Any, node: dict[str, Any]) -> Iterator[str]:
    for below in node.get("Plans", ()):
        yield from _postgresql_hints(cursor, below)
    if node["Node Type"] != "Seq Scan" or "Filter" not in node:
        return
    table = node["Relation Name"]
    cursor.execute(
        "SELECT reltuples::bigint FROM pg_class WHERE oid = to_regclass(quote_ident(%s))", [table]
    )
    found = cursor.fetchone()
    rows = found[0] if found else -1
    if rows < LARGE_TABLE_ROWS:
        return
    cursor.execute(
        "SELECT attname FROM pg_attribute"
        " WHERE attrelid = to_regclass(quote_ident(%s)) AND attnum > 0",
        [table],
    )
    known = {name for (name,) in cursor.fetchall()}
    columns = _compared(node["Filter"], known)
    if columns:
        yield _hint(table, rows, columns)


def _compared(condition: str, known: set[str]) -> list[str]:
    """Columns that an ordinary index could find rows by; those within functions and patterns are
    not among them."""
    if " OR " in condition:
        return []  # an index on one of them would not do
    found: dict[str, None] = {}
    for match in (*_PG_COMPARED.finditer(condition), *_PG_FLAG.finditer(condition)):
        name = (match[1] or match[2] or "").replace('""', '"')
        if name in known:
            found[name] = None
    return list(found)


# --- SQLite -----------------------------------------------------------------------------


def _sqlite(connection: Any, cursor: Any, sql: str, params: Any) -> Plan:
    cursor.execute(f"EXPLAIN QUERY PLAN {sql}", params)
    depth = {0: 0}
    lines, hints = [], []
    for number, parent, _, detail in cursor.fetchall():
        depth[number] = depth.get(parent, 0) + 1
        lines.append("  " * (depth[number] - 1) + detail)
        scan = _SQLITE_SCAN.match(detail)
        if scan is not None:
            hint = _sqlite_hint(cursor, connection, sql, scan[1], scan[2] or scan[1])
            hints += [hint] if hint else []
    return Plan(lines, list(dict.fromkeys(hints)))


def _sqlite_hint(cursor: Any, connection: Any, sql: str, table: str, alias: str) -> str | None:
    """A plan calls a table by its alias."""
    quote = connection.ops.quote_name
    named = re.search(
        rf'"([^"]+)" (?:AS )?{re.escape(quote(alias))}(?!\.)|"([^"]+)" {re.escape(alias)}\b', sql
    )
    if named is not None:
        table = named[1] or named[2]
    condition = sql.partition(" WHERE ")[2]
    compared = re.compile(
        rf"(?<!\w\()(?:{re.escape(quote(alias))}|{re.escape(alias)})\.\"([^\"]+)\""
        r" (?:=|<|>|<=|>=|IN|BETWEEN|IS) "
    )
    columns = list(dict.fromkeys(compared.findall(condition)))
    if not columns or " OR " in condition:
        return None
    rows = _sqlite_rows(cursor, quote(table))
    return _hint(table, rows, columns) if rows >= LARGE_TABLE_ROWS else None


def _sqlite_rows(cursor: Any, quoted: str) -> int:
    """About so many: the largest rowid is found at once."""
    try:
        cursor.execute(f"SELECT max(rowid) FROM {quoted}")
    except Error:
        return 0  # a view, a subquery, a table without rowids
    return cursor.fetchone()[0] or 0
