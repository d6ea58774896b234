"""Conditional requests (RFC 9110, 13), whoever serves them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from live import MakeClient
from places import PLACES, everywhere

from quintette import (
    API,
    Compress,
    Conditional,
    HTTPError,
    RegistrationError,
    Response,
    Stream,
    in_loop,
)
from quintette.testing import TestClient

BODY = {"name": "Ghent"}
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
NOON_TEXT = "Wed, 01 May 2024 12:00:00 GMT"
BEFORE = "Wed, 01 May 2024 11:59:59 GMT"


def _api(*guards: Any, make: Any = lambda: BODY) -> API:
    return everywhere(API(guards=guards or [Conditional()]), make)


@pytest.mark.parametrize("place", PLACES)
def test_a_body_has_a_tag(connect: MakeClient, place: str) -> None:
    client = connect(_api())
    first = client.get(f"/{place}")
    tag = first.headers["etag"]
    assert first.json() == BODY
    assert (tag[0], tag[-1], len(tag)) == ('"', '"', 34)
    assert client.get(f"/{place}").headers["etag"] == tag
    again = client.get(f"/{place}", headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == tag
    assert "content-type" not in again.headers
    assert client.head(f"/{place}").headers["etag"] == tag


def test_another_body_has_another_tag(connect: MakeClient) -> None:
    count = iter(range(10))
    client = connect(_api(make=lambda: {"n": next(count)}))
    tag = client.get("/async").headers["etag"]
    assert client.get("/async", headers={"If-None-Match": tag}).status_code == 200


# A condition ({} is the tag), the status.
CONDITIONS = [
    ({"If-None-Match": "{}"}, 304),
    ({"If-None-Match": "W/{}"}, 304),
    ({"If-None-Match": '"a", {}, "b"'}, 304),
    ({"If-None-Match": "*"}, 304),
    ({"If-None-Match": '"other"'}, 200),
    ({"If-Match": "{}"}, 200),
    ({"If-Match": "*"}, 200),
    ({"If-Match": "W/{}"}, 412),
    ({"If-Match": '"other"'}, 412),
    # RFC 9110, 13.2.2: If-Match goes first
    ({"If-Match": '"other"', "If-None-Match": "{}"}, 412),
    # 13.1.3: ignored where If-None-Match is
    ({"If-Modified-Since": "Sun, 06 Nov 2044 08:49:37 GMT"}, 200),
]


@pytest.mark.parametrize(("headers", "status"), CONDITIONS)
def test_conditions(headers: dict[str, str], status: int) -> None:
    client = TestClient(_api())
    tag = client.get("/async").headers["etag"]
    sent = {name: value.replace("{}", tag) for name, value in headers.items()}
    response = client.get("/async", headers=sent)
    assert response.status_code == status
    if status == 412:
        assert response.json()["title"] == "Precondition Failed"


def test_weak() -> None:
    client = TestClient(_api(Conditional("weak")))
    tag = client.get("/async").headers["etag"]
    assert tag.startswith('W/"')
    assert client.get("/async", headers={"If-None-Match": tag}).status_code == 304
    assert client.get("/async", headers={"If-Match": tag}).status_code == 412


def test_with_compression(connect: MakeClient) -> None:
    client = connect(_api(Conditional(), Compress(), make=lambda: {"text": "x" * 5000}))
    headers = {"Accept-Encoding": "gzip"}
    first = client.get("/async", headers=headers)
    assert first.headers["content-encoding"] == "gzip"
    assert first.headers["etag"].startswith("W/")
    again = client.get("/async", headers={**headers, "If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    # RFC 9110, 15.4.5: what the 200 had
    assert again.headers["etag"] == first.headers["etag"]
    assert again.headers["vary"] == "Accept-Encoding"
    assert "content-encoding" not in again.headers


async def _pieces() -> AsyncIterator[bytes]:
    yield b"x"


def _error() -> None:
    raise HTTPError(404)


NO_TAG = [
    lambda: Stream(_pieces()),
    lambda: Response("x", status=201),
    lambda: Response("x", status=500),
    _error,
]


@pytest.mark.parametrize("make", NO_TAG)
def test_what_gets_no_tag(connect: MakeClient, make: Any) -> None:
    assert "etag" not in connect(_api(make=make)).get("/async").headers


OWN = [
    lambda: Response("x", headers={"ETag": '"mine"'}),
    lambda: HttpResponse("x", headers={"ETag": '"mine"'}),
]


@pytest.mark.parametrize("make", OWN)
def test_the_handlers_own_tag_counts(connect: MakeClient, make: Any) -> None:
    client = connect(_api(make=make))
    response = client.get("/thread", headers={"If-None-Match": '"mine"'})
    assert (response.status_code, response.headers["etag"]) == (304, '"mine"')
    assert client.get("/thread", headers={"If-None-Match": '"x"'}).status_code == 200


def test_its_time_too(connect: MakeClient) -> None:
    make = lambda: Response("x", headers={"Last-Modified": NOON_TEXT})  # noqa: E731
    client = connect(_api(Conditional(None), make=make))
    headers = {"If-Modified-Since": NOON_TEXT}
    assert client.get("/async", headers=headers).status_code == 304
    assert client.get("/async", headers={"If-Modified-Since": BEFORE}).status_code == 200


# --- functions --------------------------------------------------------------------------


class Versions:
    """What the project asks its database for."""

    def __init__(self) -> None:
        self.ran = 0
        self.asked: list[Any] = []

    def etag(self, request: HttpRequest, id: int) -> str | None:
        self.asked.append((request.method, id))
        return None if id == 0 else f"v{id}"

    async def aetag(self, request: HttpRequest, id: int) -> str | None:
        return self.etag(request, id)

    @in_loop
    def loop_etag(self, request: HttpRequest, id: int) -> str | None:
        return self.etag(request, id)

    def modified(self, request: HttpRequest, id: int) -> datetime | None:
        return None if id == 0 else NOON + timedelta(microseconds=5)

    def api(self, guard: Conditional) -> API:
        api = API(guards=[guard])

        @api.get("/things/{id}")
        async def get(id: int) -> dict[str, int]:
            self.ran += 1
            return {"id": id}

        @api.put("/things/{id}")
        def put(id: int) -> dict[str, int]:
            self.ran += 1
            return {"id": id}

        return api


@pytest.mark.parametrize("name", ["etag", "aetag", "loop_etag"])
def test_the_handler_need_not_run(connect: MakeClient, name: str) -> None:
    versions = Versions()
    client = connect(versions.api(Conditional(getattr(versions, name))))
    first = client.get("/things/5")
    assert (first.json(), first.headers["etag"], versions.ran) == ({"id": 5}, '"v5"', 1)
    again = client.get("/things/5", headers={"If-None-Match": '"v5"'})
    assert (again.status_code, again.headers["etag"], versions.ran) == (304, '"v5"', 1)
    assert versions.asked[-1] == ("GET", 5)
    assert "etag" not in client.get("/things/0").headers


# RFC 9110, 13.1.1: the lost update.
UPDATES = [
    ({"If-Match": '"v5"'}, 200, 1),
    ({"If-Match": '"v4"'}, 412, 0),
    ({"If-None-Match": "*"}, 412, 0),
    ({"If-None-Match": '"v4"'}, 200, 1),
    ({}, 200, 1),
]


@pytest.mark.parametrize(("headers", "status", "ran"), UPDATES)
def test_an_update_of_another_version_is_refused(
    connect: MakeClient, headers: dict[str, str], status: int, ran: int
) -> None:
    versions = Versions()
    client = connect(versions.api(Conditional(versions.etag)))
    response = client.put("/things/5", headers=headers)
    assert (response.status_code, versions.ran) == (status, ran)
    assert len(versions.asked) == bool(headers)


TIMES = [
    ("get", {"If-Modified-Since": NOON_TEXT}, 304),
    ("get", {"If-Modified-Since": BEFORE}, 200),
    ("put", {"If-Unmodified-Since": NOON_TEXT}, 200),
    ("put", {"If-Unmodified-Since": BEFORE}, 412),
]


@pytest.mark.parametrize(("method", "headers", "status"), TIMES)
def test_times(connect: MakeClient, method: str, headers: dict[str, str], status: int) -> None:
    versions = Versions()
    client = connect(versions.api(Conditional(None, last_modified=versions.modified)))
    response = getattr(client, method)("/things/5", headers=headers)
    assert (response.status_code, versions.ran) == (status, status == 200)
    if method == "get":
        assert response.headers["last-modified"] == NOON_TEXT
        assert "last-modified" not in client.get("/things/0").headers


def test_a_path_that_the_handler_refuses(connect: MakeClient) -> None:
    """The function does without the value, and its error is the request's fault or ours."""
    versions = Versions()
    client = connect(versions.api(Conditional(versions.etag)))
    assert client.get("/things/x").status_code in (404, 422)


WRONG = [
    (lambda request, **path: 'a"b', "is no entity tag"),
    (lambda request, **path: "a\r\nSet-Cookie: b", "is no entity tag"),
    (lambda request, **path: "x" * 300, "at most"),
]


@pytest.mark.parametrize(("function", "message"), WRONG)
def test_tags_that_are_none(function: Any, message: str) -> None:
    client = TestClient(Versions().api(Conditional(in_loop(function))))
    with pytest.raises(ValueError, match=message):
        client.get("/things/5")


@pytest.mark.parametrize("options", [{"etag": "medium"}, {"etag": 5}, {"last_modified": 5}])
def test_declarations_that_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(RegistrationError, match=r"^Conditional: "):
        Conditional(**options)
