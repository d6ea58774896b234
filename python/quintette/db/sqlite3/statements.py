"""What kind of statement a text is, and the text as SQLite wants it."""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

# Distinct texts that are remembered; Django makes a new one per number of values in an IN list.
TEXTS_MAX = 2000
# Longer ones are not worth the memory.
TEXT_LENGTH_MAX = 20_000


class Kind(Enum):
    READ = "read"  # may be stopped and repeated
    WRITE = "write"  # takes the lock of writers, or waits for it
    LONG_WRITE = "long write"  # so, and its duration grows with the database
    OTHER = "other"  # as it comes: pragmas, savepoints, ...


class Statement(NamedTuple):
    sql: str
    kind: Kind
    lasting: bool  # changes the connection itself, not only data: a pragma, ATTACH, a TEMP table


_FIRST_WORD = re.compile(r"(?:\s|--[^\n]*(?:\n|\Z)|/\*.*?(?:\*/|\Z)|\()*([A-Za-z]*)", re.DOTALL)
# After WITH. Also in a name or a text: then a read counts as a write, which is slower but right.
_WRITES = re.compile(r"\b(?:INSERT|UPDATE|DELETE|REPLACE)\b", re.IGNORECASE)
_IMMEDIATE = re.compile(r"\s*BEGIN\s+(?:IMMEDIATE|EXCLUSIVE)\b", re.IGNORECASE)
_TEMPORARY = re.compile(r"\bTEMP(?:ORARY)?\b", re.IGNORECASE)
_LASTING = frozenset(("PRAGMA", "ATTACH", "DETACH"))
_KINDS = {
    "SELECT": Kind.READ,
    "VALUES": Kind.READ,
    "INSERT": Kind.WRITE,
    "UPDATE": Kind.WRITE,
    "DELETE": Kind.WRITE,
    "REPLACE": Kind.WRITE,
    "CREATE": Kind.LONG_WRITE,
    "ALTER": Kind.LONG_WRITE,
    "DROP": Kind.LONG_WRITE,
    "ANALYZE": Kind.LONG_WRITE,
    "REINDEX": Kind.LONG_WRITE,
    "VACUUM": Kind.LONG_WRITE,
}


def _first_word(sql: str) -> str:
    match = _FIRST_WORD.match(sql)
    return match[1].upper() if match else ""


def kind_of(sql: str) -> Kind:
    """By the first word, which tells of all statements but those with WITH."""
    word = _first_word(sql)
    if word == "WITH":
        return Kind.WRITE if _WRITES.search(sql) else Kind.READ
    if word == "BEGIN":
        return Kind.WRITE if _IMMEDIATE.match(sql) else Kind.OTHER
    return _KINDS.get(word, Kind.OTHER)


def is_lasting(sql: str) -> bool:
    word = _first_word(sql)
    return word in _LASTING or (word == "CREATE" and _TEMPORARY.search(sql) is not None)


class Statements:
    """Django's texts, once they were converted. Any thread: each access is one of a dict's own."""

    def __init__(self) -> None:
        self._known: dict[str, Statement] = {}

    def get(self, query: str, convert: Callable[[str], str]) -> Statement:
        known = self._known.get(query)
        if known is None:
            sql = convert(query)
            known = Statement(sql, kind_of(sql), is_lasting(sql))
            if len(query) <= TEXT_LENGTH_MAX:
                if len(self._known) >= TEXTS_MAX:
                    self._known = {}  # all at once: what is in use is back soon
                self._known[query] = known
        return known
