"""Frameworks with typed routes."""

from __future__ import annotations

import sys
from functools import partial

from bench.cases import DJANGO, STATIC, TYPED, Case
from bench.peers.base import Peer, Variant, only
from bench.peers.granian import granian
from bench.peers.uvicorn import uvicorn
from bench.server import Launch


def _bolt(case: Case, port: int) -> Launch:
    command = [sys.executable, "-m", "django", "runbolt", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--processes", "1", "--no-admin"]
    return Launch(command, {"DJANGO_SETTINGS_MODULE": "bench.apps.bolt_settings"})


def _bolt_middleware(case: Case, port: int) -> Launch:
    launch = _bolt(case, port)
    launch.environment["BENCH_BOLT_MIDDLEWARE"] = "on"
    return launch


def _fastapi(case: Case, port: int) -> Launch:
    return Launch(uvicorn("bench.apps.fastapi_app:app", port))


def _asgi_on_granian(app: str, case: Case, port: int) -> Launch:
    return Launch(granian(f"bench.apps.{app}:app", "asgi", port))


def _asgi_on_uvicorn(app: str, case: Case, port: int) -> Launch:
    return Launch(uvicorn(f"bench.apps.{app}:app", port))


def _ninja(options: tuple[str, ...], case: Case, port: int) -> Launch:
    return Launch(
        granian("bench.apps.site.wsgi:application", "wsgi", port, *options),
        {"DJANGO_SETTINGS_MODULE": "bench.apps.ninja_settings"},
    )


PEERS = [
    Peer(
        "django-bolt",
        "django-bolt",
        TYPED | DJANGO | STATIC | {"upload"},
        only(_bolt),
        packages=("django-bolt", "django", "msgspec", "uvloop"),
    ),
    Peer(
        "django-bolt-route",
        "django-bolt, a route of its own behind Django's middleware",
        frozenset({"django_view_middleware"}),
        only(_bolt_middleware),
        packages=("django-bolt", "django", "msgspec", "uvloop"),
    ),
    Peer(
        "fastapi",
        "FastAPI on uvicorn",
        TYPED | STATIC | {"upload"},
        only(_fastapi),
        packages=("fastapi", "starlette", "pydantic", "uvicorn", "uvloop", "httptools"),
    ),
    Peer(
        "litestar",
        "Litestar on granian",
        TYPED | STATIC | {"upload"},
        only(partial(_asgi_on_granian, "litestar_app")),
        packages=("litestar", "msgspec", "granian", "uvloop"),
    ),
    Peer(
        "starlette",
        "Starlette on granian",
        STATIC | {"hello", "json_1k", "json_10k", "upload"},
        only(partial(_asgi_on_granian, "starlette_app")),
        packages=("starlette", "granian", "uvloop"),
    ),
    Peer(
        "blacksheep",
        "BlackSheep",
        TYPED | STATIC | {"upload"},
        (
            Variant("granian", partial(_asgi_on_granian, "blacksheep_app")),
            Variant("uvicorn", partial(_asgi_on_uvicorn, "blacksheep_app")),
        ),
        packages=("blacksheep", "msgspec", "granian", "uvicorn", "uvloop", "httptools"),
    ),
    Peer(
        "django-ninja",
        "django-ninja on granian (WSGI)",
        TYPED | {"upload"},
        (
            Variant("default blocking threads", partial(_ninja, ())),
            Variant("1 blocking thread", partial(_ninja, ("--blocking-threads", "1"))),
        ),
        packages=("django-ninja", "django", "pydantic", "granian"),
    ),
]
