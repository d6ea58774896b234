"""The servers under test: how each is started on a core, found ready, and ended by pid."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
BODY = b'{"message":"Hello, world!"}'
READY_TIMEOUT_S = 20.0


class UnavailableError(Exception):
    """The server cannot be run here; the text says what is missing."""


@dataclass
class Server:
    name: str
    command: list[str]
    port: int
    versions: dict[str, str]
    path: str = "/hello"
    process: subprocess.Popen[bytes] | None = None
    files: list[tempfile.TemporaryDirectory[str]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.path}"

    def start(self, core: int) -> None:
        self.process = subprocess.Popen(
            ["taskset", "-c", str(core), *self.command],
            cwd=HERE / "apps",
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + READY_TIMEOUT_S
        while True:
            try:
                with urllib.request.urlopen(self.url, timeout=2) as response:
                    body = response.read()
                break
            except OSError as error:
                if self.process.poll() is not None:
                    raise UnavailableError(
                        f"{self.name} ended with {self.process.returncode}"
                    ) from error
                if time.monotonic() > deadline:
                    raise UnavailableError(f"{self.name} does not answer: {error}") from error
                time.sleep(0.05)
        if body != BODY:
            raise UnavailableError(f"{self.name} answers {body[:80]!r}, not {BODY!r}")

    def pids(self) -> list[int]:
        """The started process and its descendants."""
        assert self.process is not None
        found, fresh = [self.process.pid], [self.process.pid]
        while fresh:
            pid = fresh.pop()
            children = Path(f"/proc/{pid}/task/{pid}/children")
            if children.exists():
                more = [int(child) for child in children.read_text().split()]
                found += more
                fresh += more
        return found

    def stop(self) -> None:
        if self.process is None:
            return
        pids = self.pids()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.process.wait(timeout=10)
        for directory in self.files:
            directory.cleanup()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _versions(*names: str) -> dict[str, str]:
    try:
        return {name: version(name) for name in names}
    except PackageNotFoundError as error:
        raise UnavailableError(
            f"{error.name} is not installed (pip install -e '.[bench]')"
        ) from error


def _our_version() -> str:
    """Of the checkout: its commit, since a development build is not installed as a package."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def quintette() -> Server:
    port = free_port()
    script = str(HERE / "apps" / "quintette_hello.py")
    return Server(
        "Quintette, async def",
        [sys.executable, script, str(port)],
        port,
        {"quintette": _our_version(), **_versions("django", "msgspec")},
    )


def fastapi() -> Server:
    port = free_port()
    script = str(HERE / "apps" / "fastapi_hello.py")
    return Server(
        "FastAPI on uvicorn",
        [sys.executable, script, str(port)],
        port,
        _versions("fastapi", "uvicorn", "uvloop", "httptools", "pydantic"),
    )


def libq5() -> Server:
    program = ROOT / "build" / "release" / "examples" / "c" / "hello"
    if not program.exists():
        raise UnavailableError("examples/c/hello is not built (cmake --preset release)")
    port = free_port()
    return Server("libq5, handler in C", [str(program), "127.0.0.1", str(port)], port, {})


NGINX_CONF = """
worker_processes 1; daemon off; pid {dir}/pid; error_log {dir}/error.log;
events {{ worker_connections 4096; }}
http {{ access_log off; keepalive_requests 1000000000; default_type application/json;
  server {{ listen 127.0.0.1:{port}; location / {{ return 200 '{body}'; }} }} }}
"""


def nginx() -> Server:
    program = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
    if program is None:
        raise UnavailableError("nginx is not installed (apt-get install nginx-light)")
    port = free_port()
    directory = tempfile.TemporaryDirectory(prefix="quintette-bench-")
    conf = Path(directory.name) / "nginx.conf"
    conf.write_text(NGINX_CONF.format(dir=directory.name, port=port, body=BODY.decode()))
    banner = subprocess.run([program, "-v"], capture_output=True, text=True, check=True).stderr
    return Server(
        "nginx, return 200",
        [program, "-c", str(conf)],
        port,
        {"nginx": banner.strip().rpartition("/")[2]},
        files=[directory],
    )
