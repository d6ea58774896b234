"""A PostgreSQL database's own types (enums, extensions): which of them are sent as their text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import connections

# The functions that write a value as its text: of text and its kin, of enums, of citext.
_AS_TEXT = ["textsend", "varcharsend", "bpcharsend", "namesend", "enum_send", "citextsend"]

_text_types: dict[str, set[int]] = {}


def text_types(alias: str) -> set[int]:
    """The OIDs known so far, of a database; the set grows."""
    return _text_types.setdefault(alias, set())


def learn(alias: str, oids: Sequence[int]) -> bool:
    """Asks the catalogue on Django's connection. Whether values of all these types are texts, also
    to the driver."""
    connection = connections[alias]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT t.oid FROM pg_catalog.pg_type t JOIN pg_catalog.pg_proc p ON p.oid = t.typsend"
            " WHERE t.oid = ANY(%s::oid[]) AND p.proname = ANY(%s)",
            [list(oids), _AS_TEXT],
        )
        found = {oid for (oid,) in cursor.fetchall()}
    found = {oid for oid in found if not _has_loader(connection, oid)}
    text_types(alias).update(found)
    return found.issuperset(oids)


def _has_loader(connection: Any, oid: int) -> bool:
    """Whether a project has told psycopg what to make of it."""
    from psycopg.pq import Format

    return connection.connection.adapters.get_loader(oid, Format.TEXT) is not None
