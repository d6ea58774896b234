"""Quintette: one worker, its access log off."""

from __future__ import annotations

import subprocess
import sys

from bench.cases import BY_NAME, DATABASE, Case
from bench.peers.base import Peer, only
from bench.places import ROOT
from bench.server import Launch


def serve(port: int) -> list[str]:
    command = [sys.executable, "-m", "django", "serve", f"127.0.0.1:{port}", "--workers=1"]
    return [*command, "--noreload", "--no-access-log"]


def _serve(case: Case, port: int) -> Launch:
    return Launch(serve(port), {"DJANGO_SETTINGS_MODULE": "bench.apps.quintette_settings"})


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
    )
]
