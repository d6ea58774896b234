"""A PostgreSQL that is further away: the relay of bench/c/delay.c stands before its socket."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from bench.apps.db import places
from bench.case import Case
from bench.errors import UnavailableError
from bench.places import BUILD

PROGRAM = BUILD / "c" / "bench" / "c" / "delay"
READY_TIMEOUT_S = 5.0
STOP_TIMEOUT_S = 5.0


class Relay:
    """Between the servers of a case and their database; nothing at all for a case that is not
    ``away_ms``."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def start(self, core: int) -> Case:
        """The case as its servers are to have it; UnavailableError when the relay does not run."""
        if not self._case.away_ms:
            return self._case
        if not PROGRAM.exists():
            raise UnavailableError("bench/c/delay is not built (make bench builds it)")
        name = f".s.PGSQL.{os.environ.get('PGPORT', '5432')}"
        server = Path(places.POSTGRESQL_HOST) / name
        if not server.is_socket():
            raise UnavailableError(f"PostgreSQL: {server} is no socket to stand before")
        self._folder = tempfile.TemporaryDirectory(prefix="quintette-bench-")
        path = Path(self._folder.name) / name
        log = BUILD / "logs" / f"{self._case.name}-relay.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        command = [str(PROGRAM), f"{self._case.away_ms:g}", str(path), str(server)]
        try:
            with log.open("wb") as said:
                self._process = subprocess.Popen(
                    ["taskset", "-c", str(core), *command],
                    stdin=subprocess.DEVNULL,
                    stdout=said,
                    stderr=said,
                    start_new_session=True,
                )
            self._wait_until_ready(self._process, path, log)
        except BaseException:
            self.stop()
            raise
        environment = self._case.environment | {"PGHOST": self._folder.name}
        return replace(self._case, environment=environment)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(timeout=STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(timeout=STOP_TIMEOUT_S)
            self._process = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _wait_until_ready(self, process: subprocess.Popen[bytes], path: Path, log: Path) -> None:
        deadline = time.monotonic() + READY_TIMEOUT_S
        while True:
            try:
                with socket.socket(socket.AF_UNIX) as client:
                    client.connect(str(path))
                return
            except OSError as error:
                problem = str(error)
            if process.poll() is not None:
                said = log.read_text(errors="replace").strip()
                raise UnavailableError(f"the relay ended with {process.returncode}: {said}")
            if time.monotonic() > deadline:
                raise UnavailableError(f"the relay does not listen: {problem}")
            time.sleep(0.01)
