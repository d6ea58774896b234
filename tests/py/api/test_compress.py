"""Compressed responses (RFC 9110, 8.4 and 12.5.3), whoever serves them."""

from __future__ import annotations

import asyncio
import gzip
import random
import threading
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import live
import pytest
from decodings import decoded
from django.http import HttpResponse, StreamingHttpResponse
from live import MakeClient
from places import PLACES, everywhere

from quintette import (
    API,
    Channel,
    Compress,
    EventStream,
    HTTPError,
    JSONLines,
    RegistrationError,
    Response,
    Stream,
    Text,
)
from quintette.testing import TestClient
from quintette.testing.messages import build_request

TEXT = "".join(f"{number} bottles of beer on the wall, " for number in range(500))
LONG = TEXT * 60
assert len(LONG) > 3 * 262_144

CODINGS = ["gzip", "br", "zstd"]
BROWSER = "gzip, deflate, br, zstd"


def _api(make: Callable[[], Any], **options: Any) -> API:
    return everywhere(API(guards=[Compress(**options)]), make)


def _get(client: Any, path: str, accepted: str | None, **headers: str) -> Any:
    if accepted is not None:
        headers["Accept-Encoding"] = accepted
    return client.get(path, headers=headers)


def _body(response: Any) -> bytes:
    return decoded(response.content, response.headers.get("content-encoding"))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("text", [TEXT, LONG], ids=["short", "long"])
def test_whole_bodies(connect: MakeClient, place: str, coding: str, text: str) -> None:
    response = _get(connect(_api(lambda: Text(text))), f"/{place}", coding)
    assert response.status_code == 200
    assert response.headers["content-encoding"] == coding
    assert response.headers["vary"] == "Accept-Encoding"
    assert len(response.content) < len(text) / 2
    assert _body(response) == text.encode()


def _sync_pieces() -> Iterator[str]:
    for start in range(0, len(TEXT), 1000):
        yield TEXT[start : start + 1000]


async def _async_pieces() -> AsyncIterator[bytes]:
    for piece in _sync_pieces():
        yield piece.encode()


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("source", [_sync_pieces, _async_pieces])
def test_streams(connect: MakeClient, place: str, coding: str, source: Any) -> None:
    api = _api(lambda: Stream(source(), content_type="text/plain"))
    response = _get(connect(api), f"/{place}", coding)
    assert response.headers["content-encoding"] == coding
    assert "content-length" not in response.headers
    assert _body(response) == TEXT.encode()


@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume synchronous iterators")
@pytest.mark.parametrize(
    "make",
    [
        lambda: HttpResponse(TEXT),
        lambda: HttpResponse(LONG),
        lambda: StreamingHttpResponse(_sync_pieces()),
    ],
    ids=["response", "long", "streaming"],
)
@pytest.mark.parametrize("place", PLACES)
def test_django_responses(connect: MakeClient, place: str, make: Callable[[], Any]) -> None:
    response = _get(connect(_api(make)), f"/{place}", "gzip")
    assert response.headers["content-encoding"] == "gzip"
    assert _body(response).decode() == (LONG if len(_body(response)) > len(TEXT) else TEXT)


@pytest.mark.parametrize("backend", live.BACKENDS)
@pytest.mark.parametrize("place", ["async", "thread"])
def test_each_piece_of_a_stream_is_prompt(backend: str, servers: live.Servers, place: str) -> None:
    """The client reads an event while the next one is yet to come."""
    was_read = threading.Event()

    def events() -> Iterator[bytes]:
        yield b"data: tick\n\n"
        assert was_read.wait(live.SECONDS)

    api = _api(lambda: Stream(events(), content_type="text/event-stream"))
    client = live.Client(api, servers[backend])
    request = build_request("GET", f"/{place}", headers={"Accept-Encoding": "gzip"})
    try:
        begin = client._wire.peek(request, 26)
        assert zlib.decompressobj(31).decompress(begin).startswith(b"data: tick")
    finally:
        was_read.set()
        client.close()


# Accept-Encoding, what is sent.
NEGOTIATION = [
    (None, None),
    ("", None),
    ("identity", None),
    (BROWSER, "zstd"),
    ("gzip, br", "br"),
    ("gzip;q=1.0, br;q=0.5", "gzip"),
    ("br;q=0, gzip", "gzip"),
    ("*", "zstd"),
    ("gzip;q=0", None),
    ("identity, gzip;q=0.5", None),
    ("identity;q=0", None),
    ("deflate", None),
    ("GZIP", "gzip"),
]


@pytest.mark.parametrize(("accepted", "coding"), NEGOTIATION)
def test_negotiation(accepted: str | None, coding: str | None) -> None:
    response = _get(TestClient(_api(lambda: Text(TEXT))), "/async", accepted)
    assert response.headers.get("content-encoding") == coding
    # RFC 9110, 12.5.5: also of what was not compressed, for caches
    assert response.headers["vary"] == "Accept-Encoding"
    assert _body(response) == TEXT.encode()


def test_the_order_is_the_projects() -> None:
    client = TestClient(_api(lambda: Text(TEXT), prefer=("gzip", "br")))
    assert _get(client, "/async", BROWSER).headers["content-encoding"] == "gzip"
    assert "content-encoding" not in _get(client, "/async", "zstd").headers


def _response(**options: Any) -> Callable[[], Any]:
    headers = {name.replace("_", "-"): value for name, value in options.pop("h", {}).items()}
    return lambda: Response(
        TEXT, headers=headers, content_type=options.get("type", "text/plain"),
        status=options.get("status", 200),
    )  # fmt: skip


NOISE = random.Random(1).randbytes(501)

# Why, the response, whether Vary is due.
UNTOUCHED = [
    ("204", lambda: Response(status=204), False),
    ("206", _response(status=206), False),
    ("coded already", _response(h={"Content_Encoding": "gzip"}), False),
    ("RFC 9111, 5.2.2.6: no-transform", _response(h={"Cache_Control": "Private, No-Transform"}),
     False),
    ("RFC 9530: a digest of the bytes", _response(h={"Content_Digest": "sha-256=:x:"}), False),
    ("small", lambda: Text("x" * 499), False),
    ("an image", _response(type="image/png"), False),
    ("an archive", _response(type="application/zip"), False),
    ("no type", _response(type=None), False),
    ("nothing to gain", lambda: Text(NOISE), True),
]  # fmt: skip


@pytest.mark.parametrize(("why", "make", "vary"), UNTOUCHED, ids=[row[0] for row in UNTOUCHED])
def test_what_is_left_alone(
    connect: MakeClient, why: str, make: Callable[[], Any], vary: bool
) -> None:
    response = _get(connect(_api(make)), "/async", "br" if vary else BROWSER)
    coding = response.headers.get("content-encoding")
    assert coding == ("gzip" if "coded" in why else None)
    assert ("vary" in response.headers) == vary


TYPES = [
    ("text/html; charset=utf-8", True),
    ("TEXT/CSS", True),
    ("application/json", True),
    ("application/problem+json ; x=y", True),
    ("image/svg+xml", True),
    ("application/jsonx", False),
    ("application/octet-stream", False),
    ("textual/html", False),
    ("json", False),
]


@pytest.mark.parametrize(("content_type", "wanted"), TYPES)
def test_types(content_type: str, wanted: bool) -> None:
    response = _get(TestClient(_api(_response(type=content_type))), "/async", "gzip")
    assert ("content-encoding" in response.headers) == wanted


def test_head_says_vary(connect: MakeClient) -> None:
    response = connect(_api(lambda: Text(TEXT))).head("/async", headers={"Accept-Encoding": "br"})
    assert (response.status_code, response.content) == (200, b"")
    assert "content-encoding" not in response.headers
    assert response.headers["vary"] == "Accept-Encoding"


def test_errors_too(connect: MakeClient) -> None:
    def fail() -> None:
        raise HTTPError(409, "no " * 300)

    response = _get(connect(_api(fail)), "/async", "gzip")
    assert (response.status_code, response.headers["content-encoding"]) == (409, "gzip")
    assert b"no no" in _body(response)


# The handler's fields, and what becomes of them.
FIELDS = [
    ({"ETag": '"x"'}, {"etag": 'W/"x"'}),
    ({"ETag": 'W/"x"'}, {"etag": 'W/"x"'}),
    ({"Vary": "Origin"}, {"vary": "Origin, Accept-Encoding"}),
    ({"Vary": "accept-encoding"}, {"vary": "accept-encoding"}),
    ({"Vary": "*"}, {"vary": "*"}),
]


@pytest.mark.parametrize(("given", "wanted"), FIELDS)
def test_fields(connect: MakeClient, given: dict[str, str], wanted: dict[str, str]) -> None:
    api = _api(lambda: Text(TEXT, headers=given))
    response = _get(connect(api), "/thread", "gzip")
    assert response.headers["content-encoding"] == "gzip"
    for name, value in wanted.items():
        assert response.headers[name] == value
    plain = _get(connect(api), "/thread", None)
    assert plain.headers.get("etag") == given.get("ETag")


def test_a_length_that_was_declared_is_dropped(connect: MakeClient) -> None:
    headers = {"Content-Length": str(len(TEXT))}
    api = _api(lambda: Stream(_sync_pieces(), content_type="text/plain", headers=headers))
    assert _body(_get(connect(api), "/thread", "gzip")) == TEXT.encode()


class TestBreach:
    """CVE-2013-3587: what is secret and what the attacker sends stand in one body; its length tells
    when they are alike. The victim's browser must send cookies for that."""

    @pytest.mark.parametrize("accepted", ["gzip", "br"])
    def test_the_length_is_blurred(self, connect: MakeClient, accepted: str) -> None:
        client = connect(_api(lambda: Text(TEXT)))
        responses = [_get(client, "/async", accepted, Cookie="s=1") for _ in range(12)]
        assert all(_body(response) == TEXT.encode() for response in responses)
        # Twelve of a hundred lengths are all alike once in 10^22 runs.
        assert len({len(response.content) for response in responses}) > 1

    def test_zstd_has_no_room_for_that(self, connect: MakeClient) -> None:
        client = connect(_api(lambda: Text(TEXT)))
        response = _get(client, "/async", "zstd, gzip;q=0.5", Cookie="s=1")
        assert response.headers["content-encoding"] == "gzip"
        assert "content-encoding" not in _get(client, "/async", "zstd", Cookie="s=1").headers

    def test_without_cookies_it_is_not(self) -> None:
        client = TestClient(_api(lambda: Text(TEXT)))
        assert len({_get(client, "/async", "gzip").content for _ in range(4)}) == 1

    def test_it_can_be_turned_off(self) -> None:
        client = TestClient(_api(lambda: Text(TEXT), padding=False))
        response = _get(client, "/async", BROWSER, Cookie="s=1")
        assert response.headers["content-encoding"] == "zstd"


def test_a_stream_that_fails_is_cut(servers: live.Servers) -> None:
    """A client must not take the half for the whole."""

    def broken() -> Iterator[bytes]:
        yield TEXT.encode()
        raise RuntimeError("half way")

    client = live.Client(
        _api(lambda: Stream(broken(), content_type="text/plain")), servers["serve"],
        headers={"Accept-Encoding": "gzip"}, raise_errors=False,
    )  # fmt: skip
    try:
        with pytest.raises(Exception) as caught:  # noqa: PT011
            client.get("/thread")
        partial = getattr(caught.value, "partial", b"")
        with pytest.raises(EOFError):
            gzip.decompress(partial)
    finally:
        client.close()


REFUSED = [
    {"min_size": -1},
    {"level": 10},
    {"prefer": ("gzip", "gzip")},
    {"prefer": ("deflate",)},
    {"prefer": "gzip"},
    {"types": "text/html"},
    {"types": ["html"]},
    {"types": ["*/*"]},
    {"types": ["text/h*"]},
    {"types": ["a/b"] * 65},
]


@pytest.mark.parametrize("options", REFUSED)
def test_declarations_that_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(RegistrationError, match=r"^Compress: "):
        Compress(**options)


def _lines() -> Iterator[dict[str, int]]:
    yield from ({"n": n} for n in range(500))


async def _async_lines() -> AsyncIterator[dict[str, int]]:
    for line in _lines():
        yield line


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("source", [_lines, _async_lines])
def test_lines_of_json(connect: MakeClient, place: str, coding: str, source: Any) -> None:
    response = _get(connect(_api(lambda: JSONLines(source()))), f"/{place}", coding)
    assert response.headers["content-encoding"] == coding
    lines = _body(response).splitlines()
    assert (len(lines), lines[0], lines[499]) == (500, b'{"n":0}', b'{"n":499}')


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("retry", [None, 500])
def test_events_in_silence(connect: MakeClient, coding: str, retry: int | None) -> None:
    """What breaks the silence does no harm to what is compressed."""

    async def ticks() -> AsyncIterator[dict[str, int]]:
        for n in range(3):
            await asyncio.sleep(0.05)
            yield {"n": n}

    make = lambda: EventStream(ticks(), keep_alive=0.01, retry=retry)  # noqa: E731
    response = _get(connect(_api(make)), "/async", coding)
    assert response.headers["content-encoding"] == coding
    events = [event for event in _body(response).split(b"\n\n") if event.startswith(b"data")]
    assert events == [b'data: {"n":0}', b'data: {"n":1}', b'data: {"n":2}']
    assert (b"retry: 500\n\n" in _body(response)) == (retry is not None)


def test_a_channels_events_are_encoded_once(connect: MakeClient) -> None:
    channel: Channel[dict[str, int]] = Channel()
    subscription = channel.subscribe()
    channel.publish({"n": 1})
    channel.close()
    response = _get(connect(_api(lambda: EventStream(subscription))), "/async", "gzip")
    assert "content-encoding" not in response.headers
    assert b'{"n":1}' in response.content
