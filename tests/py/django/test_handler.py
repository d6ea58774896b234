"""Views, middleware, signals and responses through the server, as a project meets them."""

from __future__ import annotations

import asyncio
import gzip
import io
import os
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core import signals
from django.core.exceptions import PermissionDenied
from django.core.files import File
from django.db import connection, transaction
from django.http import (
    FileResponse,
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseRedirect,
    JsonResponse,
    StreamingHttpResponse,
)
from django.test import override_settings
from django.urls import path, re_path
from django.utils.decorators import async_only_middleware, sync_only_middleware
from django.views import View
from live_server import PATIENCE_SECONDS, LiveServer

from quintette.server.handler import SyncHandler

Live = Callable[..., LiveServer]
THIS = "test_handler"
# What is said of threads.
in_threads = pytest.mark.parametrize("live", ["thread"], indirect=True)


def urlconf(*patterns: Any) -> str:
    name = f"urlconf_{urlconf.count}"
    urlconf.count += 1
    module = types.ModuleType(name)
    module.urlpatterns = list(patterns)
    sys.modules[name] = module
    return name


urlconf.count = 0


def wait_for(condition: Callable[[], Any], seconds: float = PATIENCE_SECONDS) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.005)


@pytest.fixture
def events() -> list[str]:
    return []


@pytest.fixture
def signal_log() -> Iterator[list[str]]:
    log: list[str] = []

    def started(sender: type, **kwargs: Any) -> None:
        log.append(f"started {sender.__name__} {sorted(set(kwargs) & {'environ', 'scope'})}")

    def finished(sender: type, **kwargs: Any) -> None:
        log.append(f"finished {sender.__name__}")

    signals.request_started.connect(started)
    signals.request_finished.connect(finished)
    yield log
    signals.request_started.disconnect(started)
    signals.request_finished.disconnect(finished)


# --- views


def where(request: HttpRequest) -> HttpResponse:
    return HttpResponse(threading.current_thread().name)


async def awhere(request: HttpRequest, **kwargs: Any) -> HttpResponse:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return HttpResponse("no loop")
    return HttpResponse(f"{threading.current_thread().name} {kwargs or ''}".strip())


class AsyncClassView(View):
    async def get(self, request: HttpRequest) -> HttpResponse:
        await asyncio.sleep(0)
        return HttpResponse(threading.current_thread().name)

    async def post(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse(request.POST["a"])


@in_threads
def test_sync_views_run_in_the_pool(live: Live) -> None:
    server = live(urlconf(path("", where)))
    assert server.get("/").text.startswith("quintette-")


@pytest.mark.parametrize(
    "target", ["/v", "/n/5", "/class", "/sub/v"], ids=["function", "parameter", "class", "include"]
)
def test_async_views_run_on_the_loop(live: Live, target: str) -> None:
    from django.urls import include

    server = live(
        urlconf(
            path("v", awhere),
            path("n/<int:n>", awhere),
            path("class", AsyncClassView.as_view()),
            path("sub/", include([path("v", awhere)])),
        )
    )
    answer = server.get(target)
    assert answer.status == 200
    assert answer.text.split()[0] == "loop"


def test_parameters_come_from_djangos_resolver(live: Live) -> None:
    server = live(urlconf(path("n/<int:n>", awhere)))
    assert server.get("/n/007").text.endswith("{'n': 7}")


@in_threads
def test_async_view_behind_a_regular_expression_works_in_a_thread(live: Live) -> None:
    server = live(urlconf(re_path(r"^v(?P<n>\d)$", awhere), path("other", awhere)))
    answer = server.get("/v1")
    assert (answer.status, answer.text.split()[0]) != (200, "loop")
    assert "'n': '1'" in answer.text


@in_threads
def test_a_sync_view_before_an_async_one_wins(live: Live) -> None:
    sync = path("x/<slug:s>", lambda r, s: HttpResponse(f"sync {threading.current_thread().name}"))
    server = live(urlconf(sync, path("x/y", awhere), path("<path:p>", awhere), path("z/", awhere)))
    assert server.get("/x/y").text.startswith("sync quintette-")
    # The catch-all takes paths of the first one, so it is not left to the router.
    assert server.get("/other").text == "no loop" or "loop" not in server.get("/other").text


@pytest.mark.parametrize("method", ["POST", "PUT", "OPTIONS", "PURGE"])
def test_any_method_reaches_an_async_view(live: Live, method: str) -> None:
    server = live(urlconf(path("v", awhere)))
    assert server.request(method, "/v").status == 200


def test_methods_of_a_class(live: Live) -> None:
    server = live(urlconf(path("c", AsyncClassView.as_view())))
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert server.request("POST", "/c", "a=1", form).text == "1"
    answer = server.request("DELETE", "/c")
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, POST, HEAD, OPTIONS")
    assert server.request("HEAD", "/c").body == b""


# --- responses


def test_status_headers_and_cookies(live: Live) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        response = HttpResponse("x", status=203, content_type="text/x", headers={"X-E": "é"})
        response.set_cookie("a", "1 2", max_age=3, httponly=True, samesite="Lax")
        response.set_cookie("b", "2")
        response["Content-Length"] = "1"
        return response

    server = live(urlconf(path("", view)))
    raw = server.send_raw(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert b"X-E: \xe9\r\n" in raw
    answer = server.get("/")
    assert (answer.status, answer.headers["Content-Type"]) == (203, "text/x")
    cookies = answer.headers.get_all("Set-Cookie")
    assert len(cookies) == 2
    assert cookies[0].startswith('a="1 2"; expires=')
    assert cookies[0].endswith("; HttpOnly; Max-Age=3; Path=/; SameSite=Lax")
    assert answer.headers.get_all("Content-Length") == ["1"]


@pytest.mark.parametrize("chunks", [["a", b"b", 3], [], ["é"]], ids=str)
@pytest.mark.parametrize("kind", ["sync", "sync, async chunks", "async", "async, sync chunks"])
def test_streams(live: Live, kind: str, chunks: list[Any]) -> None:
    async def agenerate() -> Any:
        for chunk in chunks:
            await asyncio.sleep(0)
            yield chunk

    def view(request: HttpRequest) -> HttpResponse:
        return StreamingHttpResponse(agenerate() if "async ch" in kind else iter(chunks))

    async def aview(request: HttpRequest) -> HttpResponse:
        return StreamingHttpResponse(iter(chunks) if "sync ch" in kind else agenerate())

    server = live(urlconf(path("", aview if kind.startswith("async") else view)))
    expected = b"".join(c if isinstance(c, bytes) else str(c).encode() for c in chunks)
    answer = server.get("/")
    assert (answer.status, answer.body) == (200, expected)
    assert not server.errors


@in_threads
def test_a_stream_reaches_the_client_piece_by_piece(live: Live) -> None:
    go_on = threading.Event()

    def generate() -> Iterator[str]:
        yield "first"
        assert go_on.wait(PATIENCE_SECONDS)
        yield "second"

    server = live(urlconf(path("", lambda r: StreamingHttpResponse(generate()))))
    with server.connect() as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        seen = b""
        while b"first" not in seen:
            seen += sock.recv(4096)
        assert b"second" not in seen
        go_on.set()
        while b"second" not in seen:
            seen += sock.recv(4096)


def test_a_stream_that_fails_cuts_the_connection(live: Live) -> None:
    def generate() -> Iterator[str]:
        yield "first"
        raise RuntimeError("half-way")

    server = live(urlconf(path("", lambda r: StreamingHttpResponse(generate()))))
    raw = server.send_raw(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"first" in raw
    assert not raw.endswith(b"0\r\n\r\n")
    assert [str(error) for error in server.errors] == ["half-way"]


def test_a_slow_client_holds_the_stream_back(live: Live) -> None:
    made: list[int] = []

    def generate() -> Iterator[bytes]:
        for i in range(400):
            made.append(i)
            yield bytes(100_000)

    server = live(urlconf(path("", lambda r: StreamingHttpResponse(generate()))))
    with server.connect() as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        wait_for(lambda: made)
        time.sleep(0.3)
        assert len(made) < 200
        total = sum(len(data) for data in iter(lambda: sock.recv(1 << 20), b""))
    assert total > 40_000_000
    assert len(made) == 400


def skipped(file: Any, offset: int) -> Any:
    file.seek(offset)
    return file


def compressed(file: Path) -> Path:
    target = file.with_suffix(".gz")
    target.write_bytes(gzip.compress(file.read_bytes()))
    return target


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize(
    ("make", "begin"),
    [
        (lambda p: p.open("rb"), 0),
        (lambda p: p.open("rb", buffering=0), 0),
        (lambda p: File(p.open("rb"), name=p.name), 0),
        (lambda p: skipped(p.open("rb"), 1000), 1000),
        (lambda p: io.BytesIO(p.read_bytes()), 0),
        (lambda p: iter([p.read_bytes()]), 0),
        (lambda p: gzip.GzipFile(compressed(p)), 0),
    ],
    ids=["file", "raw", "Django file", "from an offset", "memory", "iterator", "gzip"],
)
def test_files(
    live: Live, tmp_path: Path, make: Callable[[Path], Any], begin: int, is_async: bool
) -> None:
    data = bytes(range(256)) * 2000
    source = tmp_path / "x.bin"
    source.write_bytes(data)

    def view(request: HttpRequest) -> FileResponse:
        return FileResponse(make(source))

    async def aview(request: HttpRequest) -> FileResponse:
        return view(request)

    server = live(urlconf(path("", aview if is_async else view)))
    answer = server.get("/")
    assert answer.body == data[begin:]
    assert server.request("HEAD", "/").body == b""
    assert not server.errors


def test_unusual_results_become_500(live: Live) -> None:
    odd = HttpResponse()
    odd.status_code = 42
    server = live(urlconf(path("none", lambda r: None), path("odd", lambda r: odd)), DEBUG=False)
    assert server.get("/none").status == 500
    assert server.get("/odd").status == 500
    assert "42" in str(server.errors[0])


# --- reason phrases


def exchange(server: LiveServer, data: bytes) -> bytes:
    """What comes until the server closes."""
    with server.connect() as sock:
        sock.sendall(data)
        return b"".join(iter(lambda: sock.recv(65536), b""))


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda: HttpResponse(reason="Fine by me"), b"HTTP/1.1 200 Fine by me"),
        (lambda: HttpResponse(status=599, reason="Caf\xe9"), b"HTTP/1.1 599 Caf\xe9"),
        (lambda: HttpResponse(status=404), b"HTTP/1.1 404 Not Found"),
        (lambda: StreamingHttpResponse([b"x"], reason="Piece by piece"), b"HTTP/1.1 200 Piece by"),
    ],
    ids=["given", "latin-1", "usual", "streamed"],
)
@pytest.mark.parametrize("is_async", [False, True])
def test_reason_phrase(live: Live, make: Callable[[], Any], line: bytes, is_async: bool) -> None:
    async def aview(request: HttpRequest) -> HttpResponse:
        return make()

    server = live(urlconf(path("", aview if is_async else lambda request: make())))
    assert exchange(server, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").startswith(
        line
    )
    assert not server.errors


@pytest.mark.parametrize("reason", ["OK\r\nSet-Cookie: a=b", "a\nb", "a\0b", "\x1b[2J", "\u20ac"])
def test_reason_phrase_that_cannot_be_sent(live: Live, reason: str) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        response = HttpResponse("x")
        # Later versions of Django refuse most of them when they are set.
        response._reason_phrase = reason  # type: ignore[attr-defined]
        return response

    server = live(urlconf(path("", view)))
    answer = server.get("/")
    assert (answer.status, answer.headers["Set-Cookie"]) == (500, None)
    assert len(server.errors) == 1


# --- bodies that nobody wants


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
@pytest.mark.parametrize("is_async", [False, True])
def test_a_stream_that_is_not_sent_is_not_begun(
    live: Live, method: str, status: int, is_async: bool
) -> None:
    """It may have no end; the response is closed, as any."""
    begun: list[bool] = []
    closed = threading.Event()

    class Response(StreamingHttpResponse):
        def close(self) -> None:
            super().close()
            closed.set()

    def endless() -> Iterator[bytes]:
        begun.append(True)
        while True:
            yield b"x" * 1000

    async def aendless() -> Any:
        for piece in endless():
            yield piece

    def view(request: HttpRequest) -> StreamingHttpResponse:
        return Response(endless(), status=status)

    async def aview(request: HttpRequest) -> StreamingHttpResponse:
        return Response(aendless(), status=status)

    server = live(urlconf(path("", aview if is_async else view)))
    # The second request shows that the connection goes on behind the first answer.
    first = f"{method} / HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    answers = exchange(server, first + first[:-2] + b"Connection: close\r\n\r\n")
    assert answers.count(f"HTTP/1.1 {status} ".encode()) == 2
    assert b"xxx" not in answers
    assert closed.wait(PATIENCE_SECONDS)
    assert not begun
    assert not server.errors


# --- errors


def fail(request: HttpRequest) -> HttpResponse:
    raise ValueError("the reason")


async def afail(request: HttpRequest) -> HttpResponse:
    raise ValueError("the reason")


def test_handler_of_a_new_class_is_told_of_errors(live: Live) -> None:
    """A look-up that misses the type's cache must not swallow the view's exception."""

    class Handler(SyncHandler):
        pass

    live(urlconf(path("", fail)), DEBUG=False)
    with LiveServer(Handler()) as server:
        answer = server.get("/")
    assert (answer.status, answer.headers["Content-Type"]) == (500, "text/html; charset=utf-8")
    assert not server.errors


def missing(request: HttpRequest) -> HttpResponse:
    raise Http404("gone fishing")


def forbidden(request: HttpRequest) -> HttpResponse:
    raise PermissionDenied


FAULTY = (path("f", fail), path("a", afail), path("m", missing), path("p", forbidden))


@pytest.mark.parametrize(
    ("target", "status"), [("/f", 500), ("/a", 500), ("/m", 404), ("/p", 403), ("/nowhere", 404)]
)
@pytest.mark.parametrize("debug", [False, True])
def test_exceptions(live: Live, target: str, status: int, debug: bool) -> None:
    server = live(urlconf(*FAULTY), DEBUG=debug)
    answer = server.get(target)
    assert answer.status == status
    told = "the reason" in answer.text or "gone fishing" in answer.text or "nowhere" in answer.text
    assert told == (debug and status != 403) or target == "/nowhere"
    assert not server.errors


def test_host_that_is_not_allowed(live: Live) -> None:
    server = live(urlconf(path("", lambda r: HttpResponse(r.get_host()))))
    with override_settings(ALLOWED_HOSTS=["good.example"]):
        assert server.get("/", Host="good.example").text == "good.example"
        assert server.get("/", Host="evil.example").status == 400


def test_propagated_exceptions_are_reported(live: Live, signal_log: list[str]) -> None:
    server = live(urlconf(*FAULTY), DEBUG_PROPAGATE_EXCEPTIONS=True)
    assert server.get("/f").status == 500
    assert server.get("/a").status == 500
    wait_for(lambda: len(signal_log) == 4)
    assert [str(error) for error in server.errors] == ["the reason"] * 2


# --- signals


@pytest.mark.parametrize("target", ["/f", "/m", "/stream", "/ok"])
def test_signals_of_sync_requests(live: Live, signal_log: list[str], target: str) -> None:
    server = live(
        urlconf(
            *FAULTY,
            path("ok", where),
            path("stream", lambda r: StreamingHttpResponse(iter("abc"))),
        )
    )
    server.get(target)
    wait_for(lambda: len(signal_log) == 2)
    assert signal_log == ["started SyncHandler ['environ']", "finished SyncHandler"]


@pytest.mark.parametrize("target", ["/a", "/stream", "/ok"])
def test_signals_of_async_requests(live: Live, signal_log: list[str], target: str) -> None:
    async def generate() -> Any:
        yield "a"
        assert len(signal_log) == 1

    async def stream(request: HttpRequest) -> HttpResponse:
        return StreamingHttpResponse(generate())

    server = live(urlconf(*FAULTY, path("ok", awhere), path("stream", stream)))
    server.get(target)
    wait_for(lambda: len(signal_log) == 2)
    assert signal_log == ["started AsyncHandler ['scope']", "finished AsyncHandler"]
    assert not server.errors


def test_async_request_without_sync_code_uses_no_thread(live: Live) -> None:
    server = live(urlconf(path("", awhere)), MIDDLEWARE=[])
    before = set(threading.enumerate())
    for _ in range(3):
        assert server.get("/").status == 200
    assert set(threading.enumerate()) <= before
    assert server._options["django_async"]._threads._idle == []


def test_sync_code_of_an_async_request_shares_one_thread(live: Live) -> None:
    from asgiref.sync import sync_to_async

    names: list[str] = []

    def note() -> None:
        names.append(threading.current_thread().name)

    async def view(request: HttpRequest) -> HttpResponse:
        await sync_to_async(note)()
        await sync_to_async(note)()
        return HttpResponse()

    server = live(urlconf(path("", view)), MIDDLEWARE=[f"{THIS}.SyncMiddleware"])
    SyncMiddleware.note = note
    server.get("/")
    server.get("/")
    assert len(names) == 6
    assert len(set(names[:3])) == 1
    assert set(names[:3]) == set(names[3:]), "the thread is used again"


# --- cancellation


def test_async_view_is_cancelled_when_the_client_leaves(
    live: Live, events: list[str], signal_log: list[str]
) -> None:
    async def view(request: HttpRequest) -> HttpResponse:
        events.append("began")
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            events.append("cancelled")
            raise
        return HttpResponse()

    server = live(urlconf(path("", view)))
    with server.connect() as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_for(lambda: events)
    wait_for(lambda: "cancelled" in events)
    wait_for(lambda: signal_log[-1:] == ["finished AsyncHandler"])
    assert not server.errors


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_stream_is_closed_when_the_client_leaves(
    live: Live, events: list[str], signal_log: list[str], is_async: bool
) -> None:
    def generate() -> Iterator[bytes]:
        try:
            while True:
                events.append("chunk")
                yield bytes(10_000)
                time.sleep(0.005)
        finally:
            events.append("closed")

    async def agenerate() -> Any:
        try:
            while True:
                events.append("chunk")
                yield bytes(10_000)
                await asyncio.sleep(0.005)
        finally:
            events.append("closed")

    async def aview(request: HttpRequest) -> HttpResponse:
        return StreamingHttpResponse(agenerate())

    view = aview if is_async else lambda r: StreamingHttpResponse(generate())
    server = live(urlconf(path("", view)))
    with server.connect() as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_for(lambda: len(events) > 3)
    wait_for(lambda: "closed" in events)
    wait_for(lambda: signal_log[-1].startswith("finished"))
    assert not server.errors


# --- middleware


@sync_only_middleware
def SyncMiddleware(get_response: Any) -> Any:  # noqa: N802
    def middleware(request: HttpRequest) -> HttpResponse:
        getattr(SyncMiddleware, "note", lambda: None)()
        response = get_response(request)
        response["X-Seen"] = response.get("X-Seen", "") + "s"
        return response

    return middleware


@async_only_middleware
def AsyncMiddleware(get_response: Any) -> Any:  # noqa: N802
    async def middleware(request: HttpRequest) -> HttpResponse:
        response = await get_response(request)
        response["X-Seen"] = response.get("X-Seen", "") + "a"
        return response

    return middleware


@pytest.mark.parametrize("order", ["sa", "as", "ss", "aa", "sasa"])
@pytest.mark.parametrize("target", ["/sync", "/async"])
def test_mixed_middleware(live: Live, order: str, target: str) -> None:
    SyncMiddleware.note = lambda: None
    names = {"s": f"{THIS}.SyncMiddleware", "a": f"{THIS}.AsyncMiddleware"}
    server = live(
        urlconf(path("sync", where), path("async", awhere)),
        MIDDLEWARE=[names[letter] for letter in order],
    )
    answer = server.get(target)
    assert (answer.status, answer.headers["X-Seen"]) == (200, order[::-1])
    assert not server.errors


def test_djangos_own_middleware(live: Live) -> None:
    server = live(
        urlconf(path("page/", lambda r: HttpResponse("x" * 1000)), path("async/", awhere)),
        MIDDLEWARE=[
            "django.middleware.security.SecurityMiddleware",
            "django.middleware.gzip.GZipMiddleware",
            "django.middleware.http.ConditionalGetMiddleware",
            "django.middleware.common.CommonMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.middleware.clickjacking.XFrameOptionsMiddleware",
        ],
    )
    answer = server.get("/page")
    assert (answer.status, answer.headers["Location"]) == (301, "/page/")
    answer = server.get("/page/", **{"Accept-Encoding": "gzip"})
    assert gzip.decompress(answer.body) == b"x" * 1000
    etag = answer.headers["ETag"]
    answer = server.get("/page/", **{"Accept-Encoding": "gzip", "If-None-Match": etag})
    assert (answer.status, answer.body) == (304, b"")
    assert server.request("POST", "/page/").status == 403
    assert server.get("/async/").headers["X-Frame-Options"] == "DENY"


# --- database


@pytest.fixture
def table(tmp_path: Path) -> Iterator[None]:
    """A database in a file, which threads share; the one in memory is put aside."""
    name, kept = connection.settings_dict["NAME"], connection.connection
    connection.connection = None
    connection.settings_dict["NAME"] = str(tmp_path / "db.sqlite3")
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE t (n integer)")
    yield
    connection.close()
    connection.settings_dict["NAME"] = name
    connection.connection = kept


def insert(n: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO t VALUES (%s)", [n])


def count() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM t")
        return int(cursor.fetchone()[0])


def test_atomic_requests(live: Live, table: None) -> None:
    def keep(request: HttpRequest) -> HttpResponse:
        insert(1)
        return HttpResponse(str(connection.in_atomic_block))

    def roll_back(request: HttpRequest) -> HttpResponse:
        insert(2)
        raise ValueError

    @transaction.non_atomic_requests
    def outside(request: HttpRequest) -> HttpResponse:
        return HttpResponse(str(connection.in_atomic_block))

    connection.settings_dict["ATOMIC_REQUESTS"] = True
    try:
        server = live(urlconf(path("k", keep), path("r", roll_back), path("o", outside)))
        assert server.get("/k").text == "True"
        assert server.get("/r").status == 500
        assert server.get("/o").text == "False"
    finally:
        connection.settings_dict["ATOMIC_REQUESTS"] = False
    assert count() == 1


@pytest.mark.parametrize("max_age", [0, 60])
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@in_threads
def test_connections_are_closed_or_kept(
    live: Live, table: None, max_age: int, is_async: bool
) -> None:
    seen: list[Any] = []

    def work() -> None:
        count()
        seen.append(connection.connection)

    def view(request: HttpRequest) -> HttpResponse:
        work()
        return HttpResponse()

    async def aview(request: HttpRequest) -> HttpResponse:
        from asgiref.sync import sync_to_async

        await sync_to_async(work)()
        return HttpResponse()

    connection.settings_dict["CONN_MAX_AGE"] = max_age
    try:
        server = live(urlconf(path("", aview if is_async else view)))
        for _ in range(3):
            assert server.get("/").status == 200
            time.sleep(0.05)
    finally:
        connection.settings_dict["CONN_MAX_AGE"] = 0
    assert (len({id(c) for c in seen}) == 1) == bool(max_age)


# --- uploads


def rss_kib() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1])
    pytest.skip("no /proc here")


def test_large_upload_stays_out_of_memory(live: Live, tmp_path: Path) -> None:
    size = 50_000_000
    seen: list[Any] = []

    def view(request: HttpRequest) -> HttpResponse:
        if request.method == "GET":
            return HttpResponse()
        file = request.FILES["f"]
        seen.append((type(file).__name__, file.size, rss_kib()))
        return JsonResponse({"size": sum(len(chunk) for chunk in file.chunks())})

    server = live(urlconf(path("", view)))
    server.get("/")
    before = rss_kib()
    head = b'--X\r\nContent-Disposition: form-data; name="f"; filename="big"\r\n\r\n'
    tail = b"\r\n--X--\r\n"
    with server.connect() as sock:
        sock.sendall(
            b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            b"Content-Type: multipart/form-data; boundary=X\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (size + len(head) + len(tail), head)
        )
        block = bytes(1_000_000)
        for _ in range(size // len(block)):
            sock.sendall(block)
        sock.sendall(tail)
        raw = b"".join(iter(lambda: sock.recv(65536), b""))
    assert raw.endswith(b'{"size": 50000000}')
    assert seen[-1][:2] == ("TemporaryUploadedFile", size)
    if "libasan" not in os.environ.get("LD_PRELOAD", ""):  # which keeps freed memory for a while
        assert seen[-1][2] - before < 15_000


# --- static files in development


def test_static_files_come_from_the_finders(live: Live) -> None:
    server = live(urlconf(path("<path:p>", lambda r, p: HttpResponse("view"))), DEBUG=True)
    answer = server.get("/static/../static/../../etc/passwd")
    assert answer.text == "view" or answer.status == 404
    assert server.get("/static/nothing.css").status == 404
    assert server.get("/other").text == "view"


def test_redirects(live: Live) -> None:
    server = live(urlconf(path("", lambda r: HttpResponseRedirect("/ü?x=1"))))
    answer = server.get("/")
    assert (answer.status, answer.headers["Location"]) == (302, "/%C3%BC?x=1")
