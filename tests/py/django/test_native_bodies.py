"""GZipMiddleware and ConditionalGetMiddleware in C beside Django's: the same requests, the same
answers, but for the length of the file name that GZipMiddleware makes up."""

from __future__ import annotations

import json
import random
import re
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.middleware import http as conditional
from django.middleware.gzip import GZipMiddleware
from django.test import override_settings
from django.urls import clear_url_caches, path
from django.utils import text
from live_server import Answer, LiveServer
from test_handler import urlconf
from test_native_middleware import DEFAULT, DjangosAsync, DjangosSync

from quintette.server import lift
from quintette.server.handler import AsyncHandler, SyncHandler

GZIP = "django.middleware.gzip.GZipMiddleware"
CONDITIONAL = "django.middleware.http.ConditionalGetMiddleware"
THIS = "test_native_bodies"

AT = "Sun, 06 Nov 1994 08:49:37 GMT"
BEFORE = "Sun, 06 Nov 1994 08:49:36 GMT"
AFTER = "Sun, 06 Nov 1994 08:49:38 GMT"
NOISE = random.Random(1).randbytes(400)


# --- a project --------------------------------------------------------------------------


class Falsy(HttpResponse):
    def __len__(self) -> int:
        return 0


class Weakly(GZipMiddleware):
    max_random_bytes = 0


def _response(do: dict[str, Any]) -> HttpResponse:
    body = NOISE if do.get("noise") else b"text " * int(do.get("n", 100))
    cls = Falsy if do.get("falsy") else HttpResponse
    response = cls(body, status=do.get("status", 200), headers=do.get("fields"))
    if do.get("cookie"):
        response.set_cookie("a", "b")
    return response


def given(request: HttpRequest) -> Any:
    """What the query asks for."""
    do = json.loads(request.GET["do"])
    if do.get("meta") is not None:
        request.META.update(do["meta"])
    if do.get("method"):
        request.method = do["method"]
    if do.get("pieces"):
        pieces = iter([b"a" * 300, b"b"])
        return StreamingHttpResponse(pieces, headers=do.get("fields"))
    return _response(do)


async def agiven(request: HttpRequest) -> Any:
    do = json.loads(request.GET["do"])
    if not do.get("pieces"):
        return await sync_to_async(given, thread_sensitive=True)(request)

    async def pieces() -> AsyncIterator[bytes]:
        yield b"a" * 300
        yield b"b"

    return StreamingHttpResponse(pieces(), headers=do.get("fields"))


# --- requests ---------------------------------------------------------------------------

Row = tuple[str, dict[str, Any], dict[str, str]]


def _compressed() -> Iterator[Row]:
    """What the view does, and what the client sends with Accept-Encoding."""
    accepts = {"Accept-Encoding": "gzip, deflate, br"}
    for n in (0, 1, 39, 40, 41, 2000, 8000, 60000):
        yield f"length {n}", {"n": n}, accepts
    for accept in (
        "gzip", "br, gzip;q=0", "x-gzip", "gzipped", "xgzip", "x_gzip", "GZIP", "*", "br", "",
        "gzipgzip, gzip", "é gzip", "égzip",
    ):  # fmt: skip
        yield f"Accept-Encoding: {accept}", {}, {"Accept-Encoding": accept}
    yield "none", {}, {}
    yield "made up", {"meta": {"HTTP_ACCEPT_ENCODING": "gzip"}}, {}
    yield "taken away", {"meta": {"HTTP_ACCEPT_ENCODING": "br"}}, accepts
    yield "META is there", {"meta": {}}, accepts
    yield "does not get shorter", {"noise": True}, accepts
    yield "in pieces", {"pieces": True}, accepts
    yield "in pieces, as they are", {"pieces": True}, {}
    yield "an error", {"status": 500}, accepts
    for vary in (
        "Cookie", "Cookie, Accept-Language", "cookie,Accept-Language", "accept-encoding", "*",
        "Cookie, *", "", " Cookie", "Cookie ,", "X-Accept-Encoding", "a_b",
    ):  # fmt: skip
        for headers in (accepts, {}):
            yield f"Vary: {vary}", {"fields": {"vary": vary}}, headers
    for etag in ('"a"', 'W/"a"', "a", "", '"é"', '"'):
        yield f"ETag: {etag}", {"fields": {"etag": etag}}, accepts
    yield "Content-Encoding", {"fields": {"Content-Encoding": "br"}}, accepts
    yield "Content-Length", {"fields": {"content-length": "500"}}, accepts


def _conditional() -> Iterator[Row]:
    tag = '"16be5de58df63f2bcb27a1bbb9b0bb32"'
    known = {"ETag": '"a"', "Last-Modified": AT}
    sent: list[dict[str, str]] = [
        *({"If-None-Match": value} for value in (
            tag, f"W/{tag}", '"a"', 'W/"a"', '"b", "a"', '"b","a"', '"b" , W/"a"', '"b"', "a", "*",
            ' "a"', '"a" x', '"a', '"x,"a"', '"b" "a"', ', "a"', '"a",', '"é", "a"', "",
            '"b\ta", "a"', 'WW/"a"', '"b", *', "W/", '"',
        )),
        *({"If-Modified-Since": value} for value in (
            AT, BEFORE, AFTER, "yesterday", "", "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994", "Sun, 06 nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:60 GMT", "Thu, 01 Jan 1970 00:00:00 GMT",
            "Sun, 06 Nov 0094 08:49:37 GMT", "Xyz, 06 Nov 1994 08:49:37 GMT",
            "Mon, 31 Feb 2020 00:00:00 GMT",
        )),
        {"If-None-Match": '"b"', "If-Modified-Since": AT},
        {"If-None-Match": "x", "If-Modified-Since": AT},
        {"If-Match": '"b"'},
        {"If-Match": '"a"'},
        {"If-Match": "*"},
        {"If-Unmodified-Since": BEFORE},
        {"If-Unmodified-Since": AT},
        {"If-Match": '"a"', "If-None-Match": '"a"'},
    ]  # fmt: skip
    shown: list[dict[str, str]] = [
        {},
        known,
        {"etag": 'W/"a"'},
        {"last-modified": AT},
        {"ETag": "a"},
        {"ETag": ""},
        {"ETag": '"é"', "Last-Modified": "é"},
        {"ETag": '"x, y"', "Last-Modified": "Sunday, 06-Nov-94 08:49:37 GMT"},
        {"Last-Modified": "never"},
        {"Last-Modified": "Thu, 01 Jan 1970 00:00:00 GMT"},
    ]
    for headers in sent:
        for fields in shown:
            yield f"{headers} {fields}", {"fields": fields}, headers
    same = {"If-None-Match": '"a"'}
    for control in (
        "no-store", "private, No-Store", "private,no-store", "no-store, private", " no-store",
        "x-no-store", "no-stored", 'no-store="x"', "no-store =x", 'my="my-no-store"',
        'private="a,no-store,b"', "private , no-store", "max-age=3", "é no-store",
    ):  # fmt: skip
        yield control, {"fields": {"Cache-Control": control}}, {}
        yield control, {"fields": {"Cache-Control": control, **known}}, same
    described = {
        "Content-Language": "en", "Content-Location": "/x", "Expires": AT, "Vary": "Cookie",
        "Date": AT, "X-Other": "1", **known,
    }  # fmt: skip
    yield "what a 304 keeps", {"fields": described, "cookie": True}, same
    for status in (200, 204, 299, 300, 404, 500):
        yield f"status {status}", {"fields": known, "status": status}, same
    yield "no content", {"n": 0}, same
    yield "in pieces", {"pieces": True}, same
    yield "in pieces, tagged", {"pieces": True, "fields": known}, same
    yield "falsy", {"falsy": True, "fields": known, "status": 404}, same
    yield "another method", {"method": "PUT", "fields": known}, same
    yield "made up", {"meta": {"HTTP_IF_NONE_MATCH": '"a"'}, "fields": known}, {}
    yield "changed", {"meta": {"HTTP_IF_NONE_MATCH": '"b"'}, "fields": known}, same
    yield "no text", {"meta": {"HTTP_IF_NONE_MATCH": ""}, "fields": known}, same
    yield "long", {"n": 60000}, {}


def rows() -> Iterator[Row]:
    yield from _compressed()
    yield from _conditional()
    both = {"Accept-Encoding": "gzip", "If-None-Match": '"a"'}
    yield "both", {"fields": {"ETag": '"a"'}}, both
    yield "both, weak", {"fields": {"ETag": '"a"'}}, {**both, "If-None-Match": 'W/"a"'}
    yield "both, another", {"fields": {"ETag": '"b"'}}, both


def _member(data: bytes) -> tuple[bytes, bytes]:
    """What one gzip stream holds, whose file name may be of any length, and what is behind it."""
    assert data[:3] == b"\x1f\x8b\x08"
    body = data[10:]
    if data[3]:  # FNAME
        name, nul, body = body.partition(b"\0")
        assert nul
        assert name == b"a" * len(name)
        assert len(name) < 100
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    plain = stream.decompress(body) + stream.flush()
    assert stream.eof
    return plain, stream.unused_data[8:]


def _whole(answer: Answer) -> bytes:
    if answer.headers.get("Content-Encoding") != "gzip":
        return answer.body
    assert int(answer.headers.get("Content-Length", len(answer.body))) == len(answer.body)
    plain, rest = _member(answer.body)
    while rest:  # Django 5.2 makes one of each piece of an asynchronous stream
        more, rest = _member(rest)
        plain += more
    return plain


def seen(answer: Answer) -> tuple[Any, ...]:
    plain = _whole(answer)
    changing = {"date"}
    if plain is not answer.body:
        changing.add("content-length")
        # A digest of what is sent: of the file name too.
        if re.fullmatch('"[0-9a-f]{32}"', answer.headers.get("ETag", "")):
            changing.add("etag")
    fields = sorted((k, v) for k, v in answer.headers.items() if k.lower() not in changing)
    return answer.status, fields, plain


STACKS: dict[str, list[str]] = {
    "gzip": [GZIP],
    "conditional": [CONDITIONAL],
    "Django's order": [GZIP, CONDITIONAL, *DEFAULT],
    "the other order": [CONDITIONAL, GZIP],
    "a subclass": [f"{THIS}.Weakly", CONDITIONAL],
}


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_as_djangos(stack: str, is_async: bool) -> None:
    view: Callable[..., Any] = agiven if is_async else given
    options = {
        "MIDDLEWARE": STACKS[stack],
        "SESSION_ENGINE": "django.contrib.sessions.backends.signed_cookies",
        "ROOT_URLCONF": urlconf(path("given/", view)),
        "ALLOWED_HOSTS": ["*"],
    }
    with override_settings(**options):
        clear_url_caches()
        router = lift.build_router()[0] if is_async else None
        with (
            LiveServer(SyncHandler(), AsyncHandler() if is_async else None, router=router) as ours,
            LiveServer(
                DjangosSync(), DjangosAsync() if is_async else None, router=router
            ) as theirs,
        ):
            differ = []
            for why, do, headers in rows():
                target = f"/given/?do={quote(json.dumps(do))}"
                found, wanted = (
                    seen(server.request("GET", target, headers=headers))
                    for server in (ours, theirs)
                )
                if found != wanted:
                    differ.append((why, found, wanted))
            assert not differ, differ[:3]
    clear_url_caches()


# --- what is native ---------------------------------------------------------------------


def _fail(*args: Any, **kwargs: Any) -> Any:
    raise AssertionError("Django's own was called")


@pytest.fixture
def server() -> Iterator[LiveServer]:
    options = {
        "MIDDLEWARE": [GZIP, CONDITIONAL],
        "ROOT_URLCONF": urlconf(path("given/", given)),
        "ALLOWED_HOSTS": ["*"],
    }
    with override_settings(**options):
        clear_url_caches()
        with LiveServer(SyncHandler()) as server:
            yield server
    clear_url_caches()


def get(server: LiveServer, do: dict[str, Any] | None = None, **headers: str) -> Answer:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    target = f"/given/?do={quote(json.dumps(do or {}))}"
    answer: Answer = server.request("GET", target, headers=fields)
    return answer


def test_the_usual_is_native(server: LiveServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "gzip_compress", _fail)
    for name in ("set_response_etag", "get_conditional_response"):
        monkeypatch.setattr(conditional, name, _fail)
    plain = get(server)
    assert plain.headers["ETag"]
    assert plain.headers["Vary"] == "Accept-Encoding"
    small = get(server, Accept_Encoding="gzip, br")
    assert seen(small)[2] == plain.body
    assert small.headers["ETag"] == f"W/{plain.headers['ETag']}"
    assert get(server, If_None_Match=small.headers["ETag"]).status == 304
    dated = {"fields": {"Last-Modified": AT}}
    assert get(server, dated, If_Modified_Since=AT).status == 304
    assert get(server, {"meta": {}}, If_None_Match=plain.headers["ETag"]).status == 304


def test_what_is_patched_is_asked(server: LiveServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        conditional.ConditionalGetMiddleware, "needs_etag", lambda self, response: False
    )
    assert "ETag" not in get(server).headers
    monkeypatch.setattr(
        GZipMiddleware, "process_response", lambda self, request, response: response
    )
    assert "Content-Encoding" not in get(server, Accept_Encoding="gzip").headers


@pytest.mark.parametrize(("most", "drawn", "name"), [(100, 3, 3), (0, 3, -1), (999, 500, 500)])
def test_the_file_name(
    server: LiveServer, monkeypatch: pytest.MonkeyPatch, most: int, drawn: int, name: int
) -> None:
    """As many letters as Django's own function says, also past what the library has room for."""
    asked = []

    def randbelow(n: int) -> int:
        asked.append(n)
        return drawn

    monkeypatch.setattr(text.secrets, "randbelow", randbelow)
    monkeypatch.setattr(GZipMiddleware, "max_random_bytes", most)
    body = get(server, {"n": 4000}, Accept_Encoding="gzip").body
    assert body[3] == (8 if name >= 0 else 0)
    if name >= 0:
        assert body[10 : 10 + name + 1] == b"a" * name + b"\0"
        assert set(asked) == {most}
