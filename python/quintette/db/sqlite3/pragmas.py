"""Which pragmas a connection gets: the defaults, ``OPTIONS["pragmas"]``, and what they may be.

https://www.sqlite.org/pragma.html
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ImproperlyConfigured

MIB = 2**20


@dataclass(frozen=True)
class Words:
    """One of some words, in any case; `numbers` of SQLite's own for them are understood too."""

    words: tuple[str, ...]
    numbered: bool = True

    def parse(self, value: object) -> str | None:
        if isinstance(value, str) and value.upper() in self.words:
            return value.upper()
        if self.numbered and type(value) is int and 0 <= value < len(self.words):
            return self.words[value]
        return None

    def __str__(self) -> str:
        return f"one of {', '.join(map(repr, self.words))}"


@dataclass(frozen=True)
class Integer:
    low: int
    high: int

    def parse(self, value: object) -> str | None:
        return str(value) if type(value) is int and self.low <= value <= self.high else None

    def __str__(self) -> str:
        return f"an integer from {self.low:,} to {self.high:,}"


@dataclass(frozen=True)
class Switch:
    def parse(self, value: object) -> str | None:
        return {True: "ON", False: "OFF"}[value] if isinstance(value, bool) else None

    def __str__(self) -> str:
        return "True or False"


Kind = Words | Integer | Switch

# In the order in which they are run: journal_mode waits for locks as long as busy_timeout says, and
# page_size and auto_vacuum of a new file count only before it is written to.
PRAGMAS: dict[str, Kind] = {
    "busy_timeout": Integer(0, 3_600_000),
    "page_size": Words(tuple(str(2**n) for n in range(9, 17)), numbered=False),
    "auto_vacuum": Words(("NONE", "FULL", "INCREMENTAL")),
    "journal_mode": Words(
        ("WAL", "DELETE", "TRUNCATE", "PERSIST", "MEMORY", "OFF"), numbered=False
    ),
    "synchronous": Words(("OFF", "NORMAL", "FULL", "EXTRA")),
    "foreign_keys": Switch(),
    "cache_size": Integer(-(2**31) + 1, 2**31 - 1),
    "temp_store": Words(("DEFAULT", "FILE", "MEMORY")),
    "mmap_size": Integer(0, 2**40),
    "journal_size_limit": Integer(-1, 2**40),
    "wal_autocheckpoint": Integer(0, 2**31 - 1),
    "automatic_index": Switch(),
    "case_sensitive_like": Switch(),
    "cell_size_check": Switch(),
    "checkpoint_fullfsync": Switch(),
    "defer_foreign_keys": Switch(),
    "fullfsync": Switch(),
    "hard_heap_limit": Integer(0, 2**40),
    "query_only": Switch(),
    "recursive_triggers": Switch(),
    "secure_delete": Words(("OFF", "ON", "FAST")),
    "soft_heap_limit": Integer(0, 2**40),
    "threads": Integer(0, 8),
    "trusted_schema": Switch(),
}

# Properties of the file, which its writers set, and what makes SQLite sleep.
NOT_FOR_READERS = frozenset(("busy_timeout", "journal_mode", "page_size", "auto_vacuum"))

DEFAULTS: dict[str, object] = {
    "busy_timeout": 5000,
    "journal_mode": "WAL",
    "synchronous": "NORMAL",
    "foreign_keys": True,
    "cache_size": -8000,
    "temp_store": "MEMORY",
    "mmap_size": 128 * MIB,
    "journal_size_limit": 64 * MIB,
}


def parse(alias: str, value: object, timeout: object = None) -> dict[str, str]:
    """The pragmas of that database as SQLite wants them, in order; those set to None are left out.

    `timeout` is OPTIONS["timeout"] in seconds: another name of busy_timeout. ImproperlyConfigured
    names the key that is wrong.
    """
    place = f"DATABASES[{alias!r}]['OPTIONS']"
    if not isinstance(value, Mapping):
        raise ImproperlyConfigured(f"{place}['pragmas'] must be a dict, not {value!r}.")
    for key in value:
        if key not in PRAGMAS:
            close = difflib.get_close_matches(str(key).lower(), PRAGMAS, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else " Use 'init_command' for others."
            raise ImproperlyConfigured(f"{place}['pragmas'] has an unknown key {key!r}.{hint}")
    wanted = {**DEFAULTS, **value}
    if timeout is not None:
        if "busy_timeout" in value:
            raise ImproperlyConfigured(
                f"{place}['timeout'] and ['pragmas']['busy_timeout'] are the same: set one of them."
            )
        wanted["busy_timeout"] = _milliseconds(place, timeout)
    found = {}
    for name, kind in PRAGMAS.items():
        setting = wanted.get(name)
        if setting is None:
            continue
        text = kind.parse(setting)
        if text is None:
            raise ImproperlyConfigured(
                f"{place}['pragmas'][{name!r}]: expected {kind} (it is {setting!r})."
            )
        found[name] = text
    return found


def _milliseconds(place: str, timeout: Any) -> int:
    is_number = isinstance(timeout, int | float) and not isinstance(timeout, bool)
    if not is_number or not 0 <= timeout <= 3600:
        raise ImproperlyConfigured(
            f"{place}['timeout']: expected seconds from 0 to 3,600 (it is {timeout!r})."
        )
    milliseconds: int = round(timeout * 1000)
    return milliseconds
