"""Quintette: one worker, its access log off."""

from __future__ import annotations

import subprocess
import sys

from bench.cases import BY_NAME, DATABASE, GUARDED, Case
from bench.peers.base import Peer, only
from bench.places import ROOT
from bench.server import Launch

_ROUTES = {
    "jwt": "jwt",
    "guarded_10k": "guarded",
    "guarded_10k_gzip": "guarded",
    "ws_echo": "websocket",
    "sse_broadcast": "events",
}
"""Which of the routes of ``quintette_settings`` a case asks for, where not ``urls``."""


def serve(port: int) -> list[str]:
    command = [sys.executable, "-m", "django", "serve", f"127.0.0.1:{port}", "--workers=1"]
    return [*command, "--noreload", "--no-access-log"]


def _serve(case: Case, port: int) -> Launch:
    environment = {"DJANGO_SETTINGS_MODULE": "bench.apps.quintette_settings"}
    if case.name in _ROUTES:
        environment["BENCH_ROUTES"] = _ROUTES[case.name]
    return Launch(serve(port), environment)


def _bare(case: Case, port: int) -> Launch:
    launch = _serve(case, port)
    launch.environment |= {"BENCH_MIDDLEWARE": "none", "BENCH_ROUTES": "urls"}
    return launch


def checkout() -> dict[str, str]:
    """A development build is no installed package: its commit."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return {"quintette": done.stdout.strip() or "unknown"}


PEERS = [
    Peer(
        "quintette",
        "Quintette",
        frozenset(BY_NAME) - DATABASE,
        only(_serve),
        packages=("django", "msgspec"),
        versions_of=checkout,
    ),
    Peer(
        "quintette-bare",
        "Quintette, without it",
        GUARDED,
        only(_bare),
        packages=("django", "msgspec"),
        versions_of=checkout,
    ),
]
