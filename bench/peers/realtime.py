"""Servers with WebSockets and streams of events."""

from __future__ import annotations

from functools import partial

from bench.cases import REALTIME, Case
from bench.peers.api import bolt
from bench.peers.base import Peer, Variant
from bench.peers.granian import granian
from bench.peers.uvicorn import uvicorn
from bench.server import Launch

_WEBSOCKETS = ("websockets", "websockets-sansio", "wsproto")
_UVICORN = ("uvicorn", "uvloop", "httptools", "websockets", "wsproto")


def _on_uvicorn(app: str, implementation: str, case: Case, port: int) -> Launch:
    return Launch(uvicorn(f"bench.apps.{app}:app", port, "--ws", implementation))


def _variants(app: str) -> tuple[Variant, ...]:
    return tuple(Variant(each, partial(_on_uvicorn, app, each)) for each in _WEBSOCKETS)


def _on_granian(case: Case, port: int) -> Launch:
    return Launch(granian("bench.apps.realtime_asgi:app", "asgi", port))


def _bolt(events: str, case: Case, port: int) -> Launch:
    launch = bolt(case, port)
    launch.environment |= {"BENCH_BOLT_API": "bolt_realtime", "BENCH_BOLT_EVENTS": events}
    return launch


PEERS = [
    Peer(
        "bolt-realtime",
        "django-bolt",
        REALTIME,
        (
            Variant("events as objects", partial(_bolt, "objects")),
            Variant("events as bytes", partial(_bolt, "bytes")),
        ),
        packages=("django-bolt", "django", "msgspec", "uvloop"),
    ),
    Peer(
        "uvicorn-asgi",
        "bare ASGI on uvicorn",
        REALTIME,
        _variants("realtime_asgi"),
        packages=_UVICORN,
    ),
    Peer(
        "uvicorn-starlette",
        "Starlette on uvicorn",
        REALTIME,
        _variants("starlette_realtime"),
        packages=("starlette", *_UVICORN),
    ),
    Peer(
        "granian-asgi",
        "bare ASGI on granian",
        REALTIME,
        (Variant("", _on_granian),),
        packages=("granian", "uvloop"),
    ),
]
