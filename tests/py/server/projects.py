"""Real projects, real processes, real sockets on 127.0.0.1."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import quintette

PACKAGE_ROOT = Path(quintette.__path__[0]).parent
# For what must happen, on however busy a machine; nothing is measured by it.
PATIENCE_SECONDS = 60
URL = re.compile(r"http://[\d.:\[\]]+/")

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
DEBUG = True
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = ["quintette", "django.contrib.staticfiles"]
ROOT_URLCONF = "urls"
STATIC_URL = "/static/"
TEMPLATES = [{
    "BACKEND": "django.template.backends.django.DjangoTemplates",
    "DIRS": [HERE / "templates"],
}]
USE_TZ = True
"""
URLS = """
import asyncio, os, pathlib, time
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import path

TEXT = "one"

def text(request):
    return HttpResponse(TEXT)

def pid(request):
    return HttpResponse(str(os.getpid()))

async def apid(request):
    return HttpResponse(str(os.getpid()))

def note(name):
    return pathlib.Path(__file__).with_name(name)

def held(request):
    note("begun").touch()
    while not note("go-on").exists():
        time.sleep(0.01)
    return HttpResponse("held")

async def aheld(request):
    note("begun").touch()
    while not note("go-on").exists():
        await asyncio.sleep(0.01)
    return HttpResponse("held")

def page(request):
    return render(request, "page.html")

urlpatterns = [
    path("", text), path("pid", pid), path("apid", apid), path("held", held),
    path("aheld", aheld), path("page", page),
]
"""


class Project:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.write("manage.py", MANAGE)
        self.write("settings.py", SETTINGS)
        self.write("urls.py", URLS)

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def append(self, name: str, text: str) -> None:
        self.write(name, (self.folder / name).read_text() + text)

    def replace(self, name: str, old: str, new: str) -> None:
        text = (self.folder / name).read_text()
        assert old in text
        self.write(name, text.replace(old, new))

    def has_begun(self) -> bool:
        """A request for /held or /aheld is in the hands of its view."""
        return (self.folder / "begun").exists()

    def go_on(self) -> None:
        """Lets the views of /held and /aheld answer."""
        self.write("go-on", "")

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "manage.py", "serve", *arguments]

    def environment(self) -> dict[str, str]:
        path = os.pathsep.join(filter(None, [str(PACKAGE_ROOT), os.environ.get("PYTHONPATH")]))
        return {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}

    def fail(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs a command that is expected to end by itself."""
        return subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )


class Served:
    def __init__(self, project: Project, *arguments: str) -> None:
        self.out = project.folder / "out.log"
        self.err = project.folder / "err.log"
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = subprocess.Popen(
                project.command("127.0.0.1:0", *arguments),
                cwd=project.folder,
                env=project.environment(),
                stdout=out,
                stderr=err,
                stdin=subprocess.DEVNULL,
            )
        self.url = ""

    def wait_for_url(self) -> None:
        def look() -> bool:
            assert self.process.poll() is None, self.errors()
            found = URL.search(self.errors())
            self.url = found[0] if found else ""
            return bool(self.url)

        wait_for(look, explain=self.errors)

    def errors(self) -> str:
        return self.err.read_text(errors="replace")

    def access_lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.read_text().splitlines()]

    def connect(self, timeout: float = PATIENCE_SECONDS) -> http.client.HTTPConnection:
        parts = urlsplit(self.url)
        return http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=timeout)

    def get(self, path: str = "/", timeout: float = PATIENCE_SECONDS) -> tuple[int, str]:
        connection = self.connect(timeout)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def refuses(self) -> bool:
        """Nobody listens any more."""
        try:
            self.get()
        except ConnectionError:
            return True
        return False

    def text(self, path: str = "/", timeout: float = PATIENCE_SECONDS) -> str:
        status, text = self.get(path, timeout)
        assert status == 200, (status, text, self.errors())
        return text

    def pids(self, count: int) -> set[int]:
        """Of `count` workers; connections are spread over them by the kernel."""
        seen: set[int] = set()
        wait_for(lambda: seen.add(int(self.text("/pid"))) or len(seen) == count)
        return seen

    def stop(self, number: int = signal.SIGTERM, seconds: float = PATIENCE_SECONDS) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(seconds)


def wait_for(
    condition: Callable[[], Any],
    seconds: float = PATIENCE_SECONDS,
    explain: Callable[[], str] = lambda: "",
) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"it did not come true in {seconds} s. {explain()}"
        time.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/status")
    return not (status.exists() and "State:\tZ" in status.read_text())


def children(pid: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.append(int(stat.parent.name))
    return found
