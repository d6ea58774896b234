"""What a statement leaves behind in its session, and how that is undone.

A pooled connection goes to another request. Whatever one has set in the session, as PostgreSQL
calls the state of a connection outside of tables, must not reach the next.
"""

from __future__ import annotations

import re

from psycopg.sql import Composable

# First words of statements that leave nothing behind but data.
_HARMLESS = frozenset(
    word
    for words in (
        "select insert update delete merge with values table copy truncate explain show",
        "begin start savepoint release rollback commit end abort lock notify",
        "fetch move close",
        "create alter drop comment grant revoke refresh reindex cluster analyze vacuum checkpoint",
    )
    for word in words.split()
)
_HARMLESS_START = ("set constraints ", "set local ", "set transaction ")
# Functions that change the session in a statement which otherwise would not.
_MARKS = (
    "set_config",
    "advisory_lock",
    "pg_temp",
    " temp ",
    " temporary ",
    "setseed",
    "dblink_connect",
)
_WORD = re.compile(r"[\s(]*(?:--[^\n]*\n[\s(]*|/\*.*?\*/[\s(]*)*([a-z]*)", re.DOTALL)

# What DISCARD ALL does (it must stand alone, and this is one round trip with what follows it).
RESET = (
    b"CLOSE ALL;SET SESSION AUTHORIZATION DEFAULT;RESET ALL;DEALLOCATE ALL;UNLISTEN *;"
    b"SELECT pg_advisory_unlock_all();DISCARD PLANS;DISCARD SEQUENCES;DISCARD TEMP"
)


def changes_session(query: object) -> bool:
    """Whether the session may differ after that statement, or those statements. Errs to the side
    of True."""
    if isinstance(query, bytes):
        text = query.decode("utf-8", "replace")
    elif isinstance(query, str):
        text = query
    elif isinstance(query, Composable):
        text = query.as_string(None)
    else:
        return True
    text = text.lower()
    for mark in _MARKS:
        if mark in text:
            return True
    if text.startswith(("select ", "insert ", "update ", "delete ")) and ";" not in text:
        return False
    return any(_changes(part) for part in text.split(";"))


def _changes(statement: str) -> bool:
    match = _WORD.match(statement)
    word = match.group(1) if match else ""
    if word in _HARMLESS:
        return False
    rest = statement[match.start(1) :] if match else statement
    return bool(rest.strip()) and not rest.startswith(_HARMLESS_START)
