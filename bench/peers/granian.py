"""granian's command line, one worker.

Its documents advise to leave the runtime's threads alone, and few blocking threads only where a
WSGI application answers within a millisecond: so WSGI is tried with its default and with one.
"""

from __future__ import annotations

from bench.peers.base import BIN


def granian(app: str, interface: str, port: int, *options: str) -> list[str]:
    command = [str(BIN / "granian"), "--interface", interface, "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", "1", "--no-access-log", "--log-level", "error"]
    if interface != "wsgi":
        command += ["--loop", "uvloop"]
    return [*command, *options, app]
