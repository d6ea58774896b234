"""The cases on a database, each on PostgreSQL and on SQLite. Where the name says nothing, it is
PostgreSQL."""

from __future__ import annotations

import re
from html import escape
from typing import Any

from bench.apps.db import data
from bench.case import Case
from bench.database import POSTGRESQL, SQLITE
from bench.guard_cases import OF_MIDDLEWARE

SUFFIX = {POSTGRESQL: "", SQLITE: "-sqlite"}
_TITLES = {POSTGRESQL: "PostgreSQL", SQLITE: "SQLite"}
_ONE_BY_ONE = "/twenty-in-turn"
QUICKER_IN_TURN = ("bolt-orm", "django-async")
"""Their queries run in threads, one or four at a time: to start twenty at once costs them more."""
RETURNED = "bolt-queryset"
TYPED_USER = "quintette-orm-async"
"""A plain view would do for it, too; its other rows have one."""
AWAY_MS = 2.0
AWAY_POOL = 20
"""Connections for greenlets. The default, ten, carries 1,250 of its requests a second at most, and
that would be the bound that is measured."""
IN_TURN = ("quintette-orm-async-in-turn", "quintette-compiled-in-turn")


def plain_html(body: bytes) -> bytes:
    """The page with every template engine's spelling of an escaped quote made one."""
    text = re.sub(rb"&#(?:x22|34);", b"&quot;", body)
    return re.sub(rb"&#(?:x27|39);", b"&#x27;", text).strip()


def _fortunes() -> bytes:
    rows = "".join(
        f"<tr><td>{number}</td><td>{escape(message)}</td></tr>\n"
        for number, message in data.fortunes()
    )
    return (
        "<!DOCTYPE html>\n<html><head><title>Fortunes</title></head><body><table>\n"
        f"<tr><th>id</th><th>message</th></tr>\n{rows}</table></body></html>"
    ).encode()


def _case(kind: str, name: str, title: str, path: str, answer: Any, **more: Any) -> Case:
    return Case(
        f"{name}{SUFFIX[kind]}", f"{title}, {_TITLES[kind]}", path, answer, database=kind, **more
    )


def _cases(kind: str) -> list[Case]:
    return [
        _case(kind, "db-one", "one row by key", f"/city/{data.ONE}", data.one()),
        _case(
            kind,
            "db-full10",
            "ten rows, all twelve columns",
            f"/cities?country={data.COUNTRY}",
            data.full10(),
            path_of={RETURNED: f"/cities-returned?country={data.COUNTRY}"},
        ),
        _case(
            kind,
            "db-mini10",
            "ten rows, two columns",
            f"/city-names?country={data.COUNTRY}",
            data.mini10(),
            path_of={RETURNED: f"/city-names-returned?country={data.COUNTRY}"},
        ),
        _case(
            kind,
            "db-twenty",
            "twenty independent queries in one request",
            "/twenty",
            data.some(data.TWENTY),
            connections=16,
            path_of=dict.fromkeys(QUICKER_IN_TURN, _ONE_BY_ONE),
        ),
        _case(
            kind,
            "db-fortunes",
            "fortunes: twelve rows into an HTML template",
            "/fortunes",
            _fortunes(),
            canonical=plain_html,
        ),
        _case(
            kind,
            "db-update10",
            "update of ten rows in a transaction",
            "/update",
            data.UPDATED,
            method="POST",
            adds=data.LIMIT,
        ),
        _case(
            kind,
            "db-nested",
            "ten rows, each with a related row and three rows related to it",
            f"/nested?country={data.COUNTRY}",
            data.nested(),
        ),
        _case(
            kind,
            "db-me",
            "the user of a session, both from the database",
            "/me",
            data.USER,
            cookie=data.COOKIE,
            environment={"BENCH_MIDDLEWARE": "session"},
        ),
        _case(
            kind,
            "db-session",
            "the user of a cached session, behind the default seven middleware classes",
            "/me",
            data.USER,
            cookie=data.COOKIE,
            environment={"BENCH_MIDDLEWARE": "default", "BENCH_SESSIONS": "cached"},
            path_of={TYPED_USER: "/typed-me"},
            answer_fields=OF_MIDDLEWARE,
        ),
    ]


CASES = [
    *_cases(POSTGRESQL),
    _case(
        POSTGRESQL,
        "db-twenty-alone",
        "twenty queries in one request, one client: together and in turn",
        "/twenty",
        data.some(data.TWENTY),
        connections=1,
        path_of=dict.fromkeys(IN_TURN, _ONE_BY_ONE),
    ),
    _case(
        POSTGRESQL,
        "db-sync4",
        "synchronous view with four ORM queries",
        "/four",
        data.some(data.FOUR),
    ),
    _case(
        POSTGRESQL,
        "db-sync4-away",
        f"synchronous view with four ORM queries to a database {AWAY_MS:g} ms away "
        f"({AWAY_POOL} connections for greenlets, 5 threads, 4 of gunicorn's)",
        "/four",
        data.some(data.FOUR),
        environment={"BENCH_LOOP_POOL": str(AWAY_POOL), "BENCH_THREADS": "default"},
        away_ms=AWAY_MS,
    ),
    *_cases(SQLITE),
]
