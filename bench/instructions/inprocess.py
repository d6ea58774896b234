"""One case in this process, in batches delimited for callgrind: inprocess.py MARKS CASE SMALL LARGE

Requests go through a connection in memory to the server in C, as those of `manage.py serve` do
through a socket; synchronous views run at once in this thread. MARKS is the library of bench/c.
Without arguments the cases are listed.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import sys
import traceback
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, NamedTuple

import django
import msgspec
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import path

# Requests before the first mark: caches, the adaptive interpreter, pools.
WARM_UP = 100

DEFAULT_MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]


class Case(NamedTuple):
    request: bytes
    answer: bytes
    """How the answer must end."""
    middleware: list[str] = []


def wire(method: str, target: str, body: bytes = b"") -> bytes:
    lines = [
        f"{method} {target} HTTP/1.1",
        "Host: localhost:8000",
        "User-Agent: bench/1",
        "Accept: */*",
    ]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


BODY = b'{"name":"A readable name","price":12.5,"tags":["a","bb"],"stock":42}'

CASES = {
    "py/typed-hello": Case(wire("GET", "/hello"), b'{"message":"Hello, world!"}'),
    "py/typed-path-query": Case(
        wire("GET", "/items/42?page=3&q=blue"), b'{"id":42,"page":3,"q":"blue"}'
    ),
    "py/typed-json-echo": Case(wire("POST", "/items", BODY), BODY),
    "py/django-bare": Case(wire("GET", "/plain/"), b"Hello, world!"),
    "py/django-seven": Case(wire("GET", "/plain/"), b"Hello, world!", DEFAULT_MIDDLEWARE),
}


class Item(msgspec.Struct):
    name: Annotated[str, msgspec.Meta(max_length=50)]
    price: Annotated[float, msgspec.Meta(ge=0)]
    tags: list[str]
    stock: int = 0


class Found(msgspec.Struct):
    id: int
    page: int
    q: str


def plain(request: HttpRequest) -> HttpResponse:
    return HttpResponse("Hello, world!")


def make_urls() -> list[Any]:
    from quintette import API

    api = API(title="Instructions", version="1")

    @api.get("/hello")
    async def hello() -> dict[str, str]:
        return {"message": "Hello, world!"}

    @api.get("/items/{id}")
    async def find(id: int, page: int = 1, q: str = "") -> Found:
        return Found(id, page, q)

    @api.post("/items", status=200)
    async def echo(item: Item) -> Item:
        return item

    return [path("plain/", plain), path("", api.urls)]


def configure(case: Case) -> None:
    settings.configure(
        ROOT_URLCONF=__name__,
        ALLOWED_HOSTS=["localhost"],
        INSTALLED_APPS=[
            "quintette",
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.messages",
            "django.contrib.sessions",
        ],
        MIDDLEWARE=case.middleware,
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        SECRET_KEY="for counting",
    )
    django.setup()
    globals()["urlpatterns"] = make_urls()


def at_once(job: Any) -> None:
    job.run()
    job.finish()


def connect() -> Any:
    from quintette import _quintette
    from quintette.server.handler import SyncHandler
    from quintette.server.lift import build_router
    from quintette.server.runner import allowed_hosts, prepare_process

    prepare_process()
    router, report, _ = build_router()
    if report.kept:
        raise SystemExit(f"not all typed routes are in C: {report.kept}")
    server = _quintette.Server(
        router=router,
        django_sync=SyncHandler(),
        executor=at_once,
        limits={"requests_max": 2**32 - 1},
        allowed_hosts=allowed_hosts(),
    )
    return server.memory_connection()


def run(connection: Any, case: Case, count: int) -> None:
    feed, take, request, end = connection.feed, connection.take, case.request, case.answer
    for _ in range(count):
        feed(request)
        answer = take()
        if not (answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(end)):
            raise SystemExit(f"the answer is {answer!r}")
    # The requests' garbage is part of their cost.
    gc.collect()


def measure(case: Case, small: int, large: int, marks: ctypes.CDLL) -> None:
    connection = connect()
    run(connection, case, WARM_UP)
    gc.freeze()
    gc.disable()
    run(connection, case, small)
    marks.q5_marks_begin()
    run(connection, case, small)
    marks.q5_marks_end(b"small")
    run(connection, case, large)
    marks.q5_marks_end(b"large")


def main(library: str, name: str, small: str, large: str) -> None:
    case = CASES[name]
    configure(case)
    marks = ctypes.CDLL(library)
    loop = asyncio.new_event_loop()
    # A callback of the loop: no Task is current there, as where the poller calls the server.
    loop.call_soon(in_loop, loop, partial(measure, case, int(small), int(large), marks))
    loop.run_forever()
    loop.close()


def in_loop(loop: asyncio.AbstractEventLoop, function: Callable[[], None]) -> None:
    """asyncio would report an exception and go on."""
    try:
        function()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    loop.stop()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(*sys.argv[1:])
    else:
        print("\n".join(CASES))
