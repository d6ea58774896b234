"""A server under test: started on a core, found ready by a right answer, ended by pid."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from bench import database
from bench.case import Case
from bench.errors import UnavailableError
from bench.places import BUILD, ROOT, STATIC
from bench.probe import PROBES

READY_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 10.0
SETTLE_TIMEOUT_S = 5.0
RESTING_READS = 4
"""The counters rest when so many reads in a row find no change."""
SAID_MAX = 200
"""Characters of a server's last words in the reason for leaving it out."""


@dataclass
class Launch:
    """How to start a server: a command, what it adds to the environment, files it needs."""

    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    files: list[tempfile.TemporaryDirectory[str]] = field(default_factory=list)


class Server:
    """One running server, for one case."""

    def __init__(self, name: str, case: Case, port: int, launch: Launch) -> None:
        self.name = name
        self.case = case
        self.port = port
        self.path = case.path_for(name)
        self._launch = launch
        self._log = BUILD / "logs" / f"{case.name}-{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.path}"

    @property
    def command(self) -> str:
        """As started, paths below the project's folder."""
        return " ".join(self._launch.command).replace(f"{ROOT}/", "")

    def start(self, core: int) -> None:
        """Start it and wait for a right answer; UnavailableError when none comes."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        environment = dict(os.environ)
        if self.case.database:
            environment |= database.environment(self.case.database)
        environment |= self.case.environment | self._launch.environment
        environment["PYTHONPATH"] = str(ROOT)
        environment["BENCH_STATIC_ROOT"] = str(STATIC)
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                ["taskset", "-c", str(core), *self._launch.command],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            self._wait_until_ready(self._process)
        except BaseException:
            self.stop()
            raise

    def check(self) -> None:
        """One exchange; UnavailableError unless the answer is the case's, and so is the effect."""
        before = self._counted()
        PROBES[self.case.load](self.name, self.case, self.port, self.path)
        added = self._counted() - before
        if added != self.case.adds:
            raise UnavailableError(f"{self.name} adds {added}, not {self.case.adds}")

    def _counted(self) -> int:
        """The counters' sum once it rests: requests of a load that has gone may still run."""
        if not self.case.adds:
            return 0
        deadline = time.monotonic() + SETTLE_TIMEOUT_S
        now, unchanged = database.counted(self.case.database), 0
        while unchanged < RESTING_READS and time.monotonic() < deadline:
            time.sleep(0.1)
            last, now = now, database.counted(self.case.database)
            unchanged = unchanged + 1 if now == last else 0
        return now

    def pids(self) -> list[int]:
        """The started process and its descendants."""
        assert self._process is not None
        found, fresh = [self._process.pid], [self._process.pid]
        while fresh:
            children = Path(f"/proc/{fresh[0]}/task/{fresh.pop(0)}/children")
            with contextlib.suppress(OSError):
                more = [int(child) for child in children.read_text().split()]
                found += more
                fresh += more
        return found

    def stop(self) -> None:
        if self._process is None:
            return
        pids = self.pids()
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(timeout=STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._process.wait(timeout=STOP_TIMEOUT_S)
        self._process = None
        for directory in self._launch.files:
            directory.cleanup()

    def _last_words(self) -> str:
        lines = self._log.read_text(errors="replace").split("\n")
        said = next((line for line in reversed(lines) if line.strip()), "it said nothing")
        return f"{said.strip()[:SAID_MAX]} ({self._log.relative_to(ROOT)})"

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + READY_TIMEOUT_S
        settled = None
        while True:
            try:
                self.check()
                return
            except (OSError, http.client.HTTPException) as error:
                problem = f"does not answer: {error!r}"
            except UnavailableError as error:
                # It listens, but may not have its routes yet.
                problem = str(error).removeprefix(f"{self.name} ")
                settled = settled or time.monotonic() + SETTLE_TIMEOUT_S
            code = process.poll()
            if code is not None:
                raise UnavailableError(
                    f"{self.name} ended with status {code}: {self._last_words()}"
                )
            if time.monotonic() > min(deadline, settled or deadline):
                raise UnavailableError(f"{self.name} {problem}: {self._log.relative_to(ROOT)}")
            time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
