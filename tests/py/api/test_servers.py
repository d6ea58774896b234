"""The commands themselves: one small project under three servers, answer by answer."""

from __future__ import annotations

import http.client
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from live import wait_for

import quintette

PROJECT = Path(__file__).with_name("smoke")
PACKAGE_ROOT = Path(quintette.__path__[0]).parent
START_SECONDS = 60
URL = re.compile(r"http://127\.0\.0\.1:[1-9]\d*")

COMMANDS = {
    "serve": ["manage.py", "serve", "127.0.0.1:0", "--no-access-log"],
    "runserver": ["manage.py", "runserver", "127.0.0.1:0", "--noreload"],
    "uvicorn": ["-m", "uvicorn", "--port", "0", "--no-access-log", "smoke_asgi:application"],
}

# What a server says about itself, and how it frames a body.
OWN = {
    "connection",
    "content-length",
    "date",
    "keep-alive",
    "server",
    "transfer-encoding",
    "x-request-id",
}
# Of our server's error documents.
OWN_MEMBER = re.compile(rb',"request_id":"[0-9a-f]{32}"')


class Asked(NamedTuple):
    method: str
    target: str
    status: int
    headers: dict[str, str] = {}
    body: bytes | None = None

    def __str__(self) -> str:
        return f"{self.method} {self.target} -> {self.status}"


JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
MULTIPART = {"Content-Type": "multipart/form-data; boundary=b"}
FILE = (
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n'
    b"Content-Type: text/plain\r\n\r\nhello\r\n--b--\r\n"
)

# One after the other over one connection: later rows see what earlier ones did.
ROWS = [
    Asked("GET", "/add/1/2", 200),
    Asked("HEAD", "/add/1/2", 200),
    Asked("GET", "/add/x/-2", 404),
    Asked("GET", "/add/1/99999999999999999999", 422),
    Asked("OPTIONS", "/add/1/2", 204),
    Asked("DELETE", "/add/1/2", 405),
    Asked("GET", "/days?since=2024-02-28&step=1&names=a&names=%C3%A9", 200),
    Asked("GET", "/days?since=yesterday&step=x", 422),
    Asked("POST", "/songs", 201, JSON, b'{"title":"Nuages","releaseYear":1940,"more":[]}'),
    Asked("PUT", "/songs", 200, JSON, '{"title":"é","releaseYear":1,"tags":["x"]}'.encode()),
    Asked("POST", "/songs", 422, JSON, b'{"title":"","tags":[1]}'),
    Asked("POST", "/songs", 400, JSON, b'{"title"'),
    Asked("POST", "/songs", 415, {"Content-Type": "text/plain"}, b"{}"),
    Asked("POST", "/songs", 413, JSON, b"[" + b" " * 10_000 + b"]"),
    Asked("GET", "/add/1/2", 200),
    Asked("POST", "/form", 200, FORM, b"name=Django+R%C3%A9&age="),
    Asked("POST", "/form", 422, FORM, b"age=old"),
    Asked("POST", "/upload", 200, MULTIPART, FILE),
    Asked("POST", "/upload", 400, MULTIPART, FILE[:-8]),
    Asked("GET", "/cookie", 200, {"Cookie": "a=b; flavour=plum"}),
    Asked("GET", "/cookie", 422),
    Asked("GET", "/me", 200, {"Authorization": "Bearer secret"}),
    Asked("GET", "/me", 401),
    Asked("GET", "/entered", 200),
    Asked("GET", "/groups", 200),
    Asked("POST", "/groups?name=editors", 200),
    Asked("POST", "/groups?name=editors", 500),
    Asked("GET", "/groups/slowly", 200),
    Asked("DELETE", "/groups/1", 204),
    Asked("DELETE", "/groups/1", 500),
    Asked("GET", "/groups", 200),
    Asked("GET", "/moved", 302),
    Asked("GET", "/file", 200),
    Asked("HEAD", "/file", 200),
    Asked("GET", "/file", 206, {"Range": "bytes=7-12"}),
    Asked("GET", "/file", 416, {"Range": "bytes=99999-"}),
    Asked("GET", "/file", 304, {"If-Modified-Since": "Thu, 01 Jan 2099 00:00:00 GMT"}),
    Asked("GET", "/file", 304, {"If-None-Match": "*"}),
    Asked("GET", "/file", 412, {"If-Match": '"x"'}),
    Asked("GET", "/stream", 200),
    Asked("GET", "/astream", 200),
    Asked("GET", "/odd", 500),
    Asked("GET", "/handled/a%20b", 410),
    Asked("GET", "/handled/a%2Fb", 404),
    Asked("DELETE", "/handled/a%2fb", 404),
    Asked("GET", "/%68andled/x", 410),
    Asked("GET", "/files/a%2Fb/c%20d", 200),
    Asked("GET", "/user?a=%41", 200),
    Asked("GET", "/big", 200),
    Asked("GET", "/plain", 200),
    Asked("POST", "/aplain", 200, {}, b"abc"),
    Asked("GET", "/nothing", 404),
    Asked("GET", "/add/1/2", 400, {"Host": "elsewhere.example"}),
]


class Running:
    def __init__(self, name: str, database: Path, log: Path) -> None:
        self._log = log
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                [sys.executable, *COMMANDS[name]],
                cwd=PROJECT,
                env=_environment(database),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        self.connection: http.client.HTTPConnection

    def connect(self) -> None:
        wait_for(lambda: bool(self._process.poll() is not None or self._url()), START_SECONDS)
        assert self._process.poll() is None, self._text()
        parts = urlsplit(self._url())
        self.connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=60)

    def ask(self, row: Asked) -> tuple[Any, ...]:
        self.connection.request(row.method, row.target, row.body, row.headers)
        response = self.connection.getresponse()
        content = response.read()
        fields = sorted(
            (name.lower(), value)
            for name, value in response.getheaders()
            if name.lower() not in OWN
        )
        return response.status, fields, OWN_MEMBER.sub(b"", content)

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _url(self) -> str:
        found = URL.search(self._text())
        return found[0] if found else ""

    def _text(self) -> str:
        return self._log.read_text(errors="replace")


def _environment(database: Path) -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(PACKAGE_ROOT), os.environ.get("PYTHONPATH")]))
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "smoke_settings",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": path,
        "PYTHONUNBUFFERED": "1",
        "SMOKE_DATABASE": str(database),
    }


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Running]]:
    folder = tmp_path_factory.mktemp("servers")
    empty = folder / "empty.sqlite3"
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "--verbosity=0"],
        cwd=PROJECT,
        env=_environment(empty),
        check=True,
        timeout=60,
    )
    started: dict[str, Running] = {}
    try:
        for name in COMMANDS:
            if name == "uvicorn" and importlib.util.find_spec("uvicorn") is None:
                continue
            database = folder / f"{name}.sqlite3"
            shutil.copy(empty, database)
            started[name] = Running(name, database, folder / f"{name}.log")
        for server in started.values():
            server.connect()
        yield started
    finally:
        for server in started.values():
            server.stop()


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS, ids=str)
def test_the_commands_answer_alike(running: dict[str, Running], row: Asked) -> None:
    if "uvicorn" not in running:
        pytest.skip("uvicorn is not installed")
    answers = {name: server.ask(row) for name, server in running.items()}
    assert {name: answer[0] for name, answer in answers.items()} == dict.fromkeys(
        running, row.status
    )
    assert answers["serve"] == answers["runserver"] == answers["uvicorn"]
