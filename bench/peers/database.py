"""Stacks on a database. Every one has as many connections, kept open: ``places.POOL``.

Django's own back end binds on the server and prepares what recurs, psycopg's quickest way.
"""

from __future__ import annotations

import sys
from functools import partial
from importlib.util import find_spec

from bench.apps.db import places
from bench.case import Case
from bench.cases import DATABASE
from bench.database import POSTGRESQL
from bench.database_cases import IN_TURN, RETURNED, SUFFIX
from bench.errors import UnavailableError
from bench.peers.base import BIN, Peer, only
from bench.peers.granian import granian
from bench.peers.quintette import checkout, serve
from bench.peers.uvicorn import uvicorn
from bench.places import BUILD
from bench.server import Launch

APPS = "bench.apps.db"
READS = ("db-one", "db-full10", "db-mini10", "db-twenty", "db-nested")
DJANGO_PACKAGES = ("django", "psycopg")


def on_both(*names: str) -> frozenset[str]:
    return frozenset(f"{name}{suffix}" for name in names for suffix in SUFFIX.values())


SYNC4 = frozenset({"db-sync4", "db-sync4-away"})
EVERY = DATABASE - SYNC4 - {"db-twenty-alone"}
WITHOUT_USER = EVERY - on_both("db-me", "db-session")


def _django(case: Case, settings: str = "settings", pool: bool = False) -> dict[str, str]:
    chosen = {"DJANGO_SETTINGS_MODULE": f"{APPS}.{settings}"}
    if pool and case.database == POSTGRESQL:
        chosen["BENCH_POOL"] = "on"
    return chosen


def _quintette(routes: str, engine: str, sync_views: str, case: Case, port: int) -> Launch:
    if routes == "compiled" and "nested" in case.name:
        routes = "shapes"
    _must_exist(routes, engine, sync_views, case)
    environment = _django(case, "quintette_settings")
    environment |= {"BENCH_ROUTES": routes, "BENCH_ENGINE": engine}
    if sync_views:
        environment["BENCH_SYNC_VIEWS"] = sync_views
    return Launch(serve(port), environment)


def _must_exist(routes: str, engine: str, sync_views: str, case: Case) -> None:
    back_end = "postgresql" if case.database == POSTGRESQL else "sqlite3"
    needed = {
        f"quintette.db.{back_end}": engine == "quintette",
        "quintette.db.compiled": routes in ("compiled", "shapes"),
        "quintette.db.shapes": routes == "shapes",
        "quintette.concurrency": bool(sync_views),
    }
    for module in (name for name, it_is in needed.items() if it_is):
        try:
            found = find_spec(module)
        except ModuleNotFoundError:
            found = None
        if found is None:
            raise UnavailableError(f"this build has no {module}")


def _bolt(case: Case, port: int) -> Launch:
    command = [sys.executable, "-m", "django", "runbolt", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--processes", "1", "--no-admin"]
    return Launch(command, _django(case, "bolt_settings"))


def _gunicorn(settings: str, case: Case, port: int) -> Launch:
    command = [str(BIN / "gunicorn"), "--bind", f"127.0.0.1:{port}", "--workers", "1"]
    command += ["--worker-class", "gthread", "--threads", str(places.POOL)]
    command += ["--log-level", "error", "--http-parser", "fast"]
    return Launch([*command, "bench.apps.site.wsgi:application"], _django(case, settings))


def _uvicorn(settings: str, case: Case, port: int) -> Launch:
    environment = _django(case, settings, pool=True) | {"BENCH_VIEWS": "async"}
    command = uvicorn("bench.apps.site.asgi:application", port, "--lifespan", "off")
    return Launch(command, environment)


def _turbo(case: Case, port: int) -> Launch:
    launch = _uvicorn("turbo_settings", case, port)
    launch.environment["BENCH_ENGINE"] = "async_backend"
    return launch


def _fastapi(case: Case, port: int) -> Launch:
    return Launch(uvicorn(f"{APPS}.fastapi_app:app", port))


def _litestar(case: Case, port: int) -> Launch:
    return Launch(granian(f"{APPS}.litestar_app:app", "asgi", port))


def _asyncpg(case: Case, port: int) -> Launch:
    return Launch(uvicorn(f"{APPS}.asyncpg_app:app", port))


def _libpq(case: Case, port: int) -> Launch:
    program = BUILD / "c" / "bench" / "c" / "pg_rows"
    if not program.exists():
        raise UnavailableError("bench/c/pg_rows is not built (make bench builds it)")
    database = f"host={places.POSTGRESQL_HOST} dbname={places.POSTGRESQL_NAME}"
    return Launch([str(program), "127.0.0.1", str(port), database, str(places.POOL)])


def _ours(name: str, title: str, cases: frozenset[str], *how: str) -> Peer:
    routes, engine, sync_views = how
    return Peer(
        name,
        title,
        cases,
        only(partial(_quintette, routes, engine, sync_views)),
        packages=("django", "msgspec", "psycopg"),
        versions_of=checkout,
    )


_BOLT = ("django-bolt", "msgspec", "uvloop", *DJANGO_PACKAGES)
_ALCHEMY = ("sqlalchemy", "asyncpg", "aiosqlite")
PEERS = [
    _ours(
        "quintette-compiled",
        "Quintette, compiled queries",
        on_both(*READS) | {"db-twenty-alone"},
        "compiled",
        "quintette",
        "",
    ),
    _ours(
        IN_TURN[1],
        "Quintette, compiled queries, in turn",
        frozenset({"db-twenty-alone"}),
        "compiled",
        "quintette",
        "",
    ),
    _ours(
        "quintette-orm-async",
        "Quintette, async ORM",
        EVERY | {"db-twenty-alone"},
        "async",
        "quintette",
        "",
    ),
    _ours(
        IN_TURN[0],
        "Quintette, async ORM, in turn",
        frozenset({"db-twenty-alone"}),
        "async",
        "quintette",
        "",
    ),
    _ours(
        "quintette-sync-greenlet",
        "Quintette, sync views in greenlets",
        EVERY | SYNC4,
        "sync",
        "quintette",
        "greenlet",
    ),
    _ours(
        "quintette-sync-thread",
        "Quintette, sync views in threads",
        EVERY | SYNC4,
        "sync",
        "quintette",
        "thread",
    ),
    _ours(
        "quintette-django-sync",
        "Quintette's server, sync views, Django's engine",
        EVERY | SYNC4,
        "sync",
        "django",
        "",
    ),
    _ours(
        "quintette-django-msgspec",
        "Quintette's server, Django's ORM and engine, msgspec",
        on_both(*READS, "db-update10"),
        "msgspec",
        "django",
        "",
    ),
    Peer(
        RETURNED,
        "django-bolt, query set returned",
        on_both("db-full10", "db-mini10"),
        only(_bolt),
        packages=_BOLT,
    ),
    Peer("bolt-orm", "django-bolt, async ORM", EVERY, only(_bolt), packages=_BOLT),
    Peer(
        "fastapi-sqlalchemy",
        "FastAPI on uvicorn, SQLAlchemy",
        WITHOUT_USER,
        only(_fastapi),
        packages=("fastapi", "pydantic", "uvicorn", "uvloop", "httptools", *_ALCHEMY),
    ),
    Peer(
        "litestar-sqlalchemy",
        "Litestar on granian, SQLAlchemy",
        WITHOUT_USER,
        only(_litestar),
        packages=("litestar", "msgspec", "granian", "uvloop", *_ALCHEMY),
    ),
    Peer(
        "ninja-orm",
        "django-ninja on gunicorn",
        EVERY,
        only(partial(_gunicorn, "ninja_settings")),
        packages=("django-ninja", "pydantic", "gunicorn", "gunicorn_h1c", *DJANGO_PACKAGES),
    ),
    Peer(
        "django-sync",
        "Django on gunicorn, sync views",
        EVERY | SYNC4,
        only(partial(_gunicorn, "settings")),
        packages=("gunicorn", "gunicorn_h1c", *DJANGO_PACKAGES),
    ),
    Peer(
        "django-async",
        "Django on uvicorn, async views",
        EVERY,
        only(partial(_uvicorn, "settings")),
        packages=("uvicorn", "uvloop", "httptools", "psycopg_pool", *DJANGO_PACKAGES),
    ),
    Peer(
        "turbo-orm",
        "django-turbo-orm on uvicorn",
        frozenset({*READS, "db-fortunes"}),
        only(_turbo),
        packages=("django-turbo-orm", "django-async-backend", "uvicorn", *DJANGO_PACKAGES),
    ),
    Peer(
        "asyncpg",
        "asyncpg and msgspec, bare ASGI on uvicorn",
        frozenset({"db-one", "db-full10", "db-mini10", "db-twenty", "db-update10"}),
        only(_asyncpg),
        packages=("asyncpg", "msgspec", "uvicorn", "uvloop", "httptools"),
        limit=True,
    ),
    Peer(
        "libpq",
        "libpq's pipeline mode on libq5, handler in C",
        frozenset({"db-one", "db-full10", "db-mini10"}),
        only(_libpq),
        limit=True,
    ),
]
