"""Frameworks with typed routes."""

from __future__ import annotations

import sys

from bench.cases import DJANGO, STATIC, TYPED, Case
from bench.peers.base import Peer, only
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
]
