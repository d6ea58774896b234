"""Frameworks with typed routes."""

from __future__ import annotations

import sys
from functools import partial

from bench.cases import DJANGO, GUARDED, STATIC, TYPED, Case
from bench.peers.base import Peer, Variant, only
from bench.peers.granian import granian
from bench.peers.uvicorn import uvicorn
from bench.server import Launch


def bolt(case: Case, port: int) -> Launch:
    command = [sys.executable, "-m", "django", "runbolt", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--processes", "1", "--no-admin"]
    return Launch(command, {"DJANGO_SETTINGS_MODULE": "bench.apps.bolt_settings"})


def _bolt_with(variable: str, case: Case, port: int) -> Launch:
    launch = bolt(case, port)
    launch.environment[variable] = "on"
    return launch


def _bolt_guarded(case: Case, port: int) -> Launch:
    """Compression is an API's as a whole: only the case that asks for it has it on."""
    if case.name == "guarded_10k_gzip":
        return _bolt_with("BENCH_BOLT_COMPRESSION", case, port)
    return bolt(case, port)


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
        TYPED | DJANGO | STATIC | (GUARDED - {"hello_middleware"}) | {"upload"},
        only(_bolt_guarded),
        packages=("django-bolt", "django", "msgspec", "uvloop"),
    ),
    Peer(
        "django-bolt-route",
        "django-bolt, a route of its own behind Django's middleware",
        frozenset({"django_view_middleware", "hello_middleware"}),
        only(partial(_bolt_with, "BENCH_BOLT_MIDDLEWARE")),
        packages=("django-bolt", "django", "msgspec", "uvloop"),
    ),
    Peer(
        "django-bolt-bare",
        "django-bolt, without it",
        GUARDED,
        only(bolt),
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
        TYPED | {"upload", "hello_middleware"},
        (
            Variant("default blocking threads", partial(_ninja, ())),
            Variant("1 blocking thread", partial(_ninja, ("--blocking-threads", "1"))),
        ),
        packages=("django-ninja", "django", "pydantic", "granian"),
    ),
]
