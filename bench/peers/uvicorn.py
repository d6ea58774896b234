"""uvicorn's command line: one worker, uvloop, httptools, no access log."""

from __future__ import annotations

from bench.peers.base import BIN


def uvicorn(app: str, port: int, *options: str) -> list[str]:
    command = [str(BIN / "uvicorn"), "--host", "127.0.0.1", "--port", str(port)]
    command += ["--loop", "uvloop", "--http", "httptools", "--no-access-log"]
    return [*command, "--log-level", "warning", *options, app]
