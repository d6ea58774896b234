"""``manage.py serve`` in a process of its own, over a project with an endpoint of each kind, and
what the kernel says about that process."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self
from urllib.request import urlopen

import quintette

PACKAGE_ROOT = Path(quintette.__path__[0]).parent
PATIENCE = 30.0

MANAGE = """
import os, sys
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
"""
SETTINGS = """
from pathlib import Path
HERE = Path(__file__).parent
SECRET_KEY = "for tests"
DEBUG = False
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = ["quintette", "django.contrib.staticfiles"]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
ROOT_URLCONF = "urls"
STATIC_URL = "/static/"
STATIC_ROOT = HERE / "files"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": HERE / "db.sqlite3"}}
DATA_UPLOAD_MAX_MEMORY_SIZE = None
USE_TZ = True
QUINTETTE = %(quintette)r
"""
URLS = """
import asyncio

from django.db import connection
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path
from msgspec import Struct
from quintette import API
from quintette.server import runner

api = API(title="Endurance", version="1")


class Item(Struct):
    name: str
    tags: list[str] = []


@api.get("/async/{id}")
async def typed_async(id: int) -> Item:
    return Item(f"item {id}", ["a", "b"])


@api.get("/wait/{id}")
async def typed_wait(id: int) -> Item:
    await asyncio.sleep(0.001)
    return Item(f"item {id}")


@api.get("/def/{id}")
def typed_def(id: int) -> Item:
    return Item(f"item {id}")


@api.post("/items", status=201)
async def create(body: Item) -> Item:
    return body


def query(request):
    with connection.cursor() as cursor:
        cursor.execute("select count(*), %s from sqlite_master", ["x"])
        return JsonResponse({"rows": cursor.fetchall()})


async def async_view(request):
    return HttpResponse("async")


async def async_wait(request):
    await asyncio.sleep(0.001)
    return HttpResponse("waited")


def pieces(size):
    for _ in range(size // 2000):
        yield b"x" * 2000


async def async_pieces(size):
    for index in range(size // 2000):
        if index % 8 == 0:
            await asyncio.sleep(0)
        yield b"x" * 2000


def stream(request, size):
    return StreamingHttpResponse(pieces(size))


async def async_stream(request, size):
    return StreamingHttpResponse(async_pieces(size))


def upload(request):
    return HttpResponse(str(len(request.body)))


# The server of this worker, to ask for its counters.
servers = []
open_server = runner.open_server


def remember(*args, **kwargs):
    servers.append(open_server(*args, **kwargs))
    return servers[-1]


runner.open_server = remember


def stats(request):
    return JsonResponse(servers[0].stats())


urlpatterns = [
    path("api/", api.urls),
    path("query", query),
    path("async", async_view),
    path("wait", async_wait),
    path("stream/<int:size>", stream),
    path("astream/<int:size>", async_stream),
    path("upload", upload),
    path("stats", stats),
]
"""


class EnduranceServer:
    """One worker. Its temporary files go to a folder that nobody else uses."""

    def __init__(
        self, folder: Path, *, prefix: Sequence[str] = (), **quintette_settings: Any
    ) -> None:
        self.spool = folder / "spool"
        self.log = folder / "server.log"
        for path in (self.spool, folder / "files"):
            path.mkdir()
        (folder / "files" / "small.txt").write_bytes(b"s" * 300)
        (folder / "files" / "large.bin").write_bytes(b"l" * 200_000)
        (folder / "manage.py").write_text(MANAGE)
        (folder / "settings.py").write_text(SETTINGS % {"quintette": quintette_settings})
        (folder / "urls.py").write_text(URLS)
        path = os.pathsep.join(filter(None, [str(PACKAGE_ROOT), os.environ.get("PYTHONPATH")]))
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*prefix, sys.executable, "manage.py", "serve", "127.0.0.1:0", "--workers", "1"],
                cwd=folder,
                env={**os.environ, "PYTHONPATH": path, "TMPDIR": str(self.spool)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )

    def __enter__(self) -> Self:
        eventually(self._find_port, self.errors)
        [self.worker] = children(self.process.pid)
        return self

    def __exit__(self, *exc: object) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(PATIENCE)
        finally:
            self.process.kill()
            self.process.wait()
        assert code == 0, self.errors()

    def _find_port(self) -> bool:
        assert self.process.poll() is None, self.errors()
        found = re.search(r"http://127\.0\.0\.1:(\d+)/", self.errors())
        self.port = int(found[1]) if found else 0
        return bool(found)

    def errors(self) -> str:
        return self.log.read_text(errors="replace")

    def stats(self) -> dict[str, int]:
        """Of the server, while it answers this one request."""
        with urlopen(f"http://127.0.0.1:{self.port}/stats", timeout=PATIENCE) as response:
            found: dict[str, int] = json.load(response)
        return found

    def rss(self) -> int:
        """Bytes, of the worker."""
        return memory(self.worker, "Rss")

    def pss(self) -> int:
        """Bytes, of all processes; what they share counts once."""
        return sum(memory(pid, "Pss") for pid in (self.process.pid, self.worker))

    def rss_of_all(self) -> int:
        return sum(memory(pid, "Rss") for pid in (self.process.pid, self.worker))

    def files(self) -> list[str]:
        """What the worker has open."""
        found = []
        for link in Path(f"/proc/{self.worker}/fd").iterdir():
            with contextlib.suppress(OSError):
                found.append(os.readlink(link))
        return found

    def sockets(self) -> list[str]:
        return [file for file in self.files() if file.startswith("socket:")]

    def threads(self) -> int:
        return len(list(Path(f"/proc/{self.worker}/task").iterdir()))


def cannot_measure() -> str:
    """Why memory says nothing here; empty where it does."""
    if not Path("/proc/self/smaps_rollup").exists():
        return "the kernel's accounts are Linux's"
    is_sanitized = "libasan" in Path("/proc/self/maps").read_text()
    return "AddressSanitizer keeps freed memory for a while" if is_sanitized else ""


def memory(pid: int, key: str) -> int:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = re.search(rf"^{key}:\s+(\d+) kB$", text, re.MULTILINE)
    assert found
    return int(found[1]) * 1024


def kernel_socket_bytes() -> int:
    """What TCP's buffers and the kernel's objects of the whole machine take."""
    found = re.search(r"^TCP: .* mem (\d+)$", Path("/proc/net/sockstat").read_text(), re.MULTILINE)
    slab = re.search(r"^Slab:\s+(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)
    assert found
    assert slab
    return int(found[1]) * os.sysconf("SC_PAGESIZE") + int(slab[1]) * 1024


def children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


def eventually(condition: Callable[[], bool], explain: Callable[[], object] = lambda: "") -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, explain()
        time.sleep(0.02)
