"""Exceptions and what they are answered with."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from django.core import signals
from django.core.exceptions import (
    BadRequest,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
    ValidationError,
)
from django.http import Http404, HttpResponse
from django.test import override_settings
from live import MakeClient

from quintette import API, JSON, HTTPError, RequestError, Text, in_loop
from quintette.api.errors import ResultError
from quintette.testing import TestClient


def _raising(error: BaseException) -> API:
    api = API()

    @api.get("/async")
    async def a() -> None:
        raise error

    @api.get("/thread")
    def t() -> None:
        raise error

    @api.get("/loop")
    @in_loop
    def c() -> None:
        raise error

    return api


ERRORS: list[tuple[Exception, int, dict[str, Any]]] = [
    (HTTPError(404, "no such city"), 404, {"title": "Not Found", "detail": "no such city"}),
    (HTTPError(418), 418, {"title": "I'm a Teapot"}),
    (
        HTTPError(403, type="https://x/y", title="No", balance=3),
        403,
        {"type": "https://x/y", "title": "No", "balance": 3},
    ),
    (HTTPError(503, "later"), 503, {"detail": "later"}),
    (Http404("City 3"), 404, {"title": "Not Found"}),
    (PermissionDenied("not yours"), 403, {"detail": "not yours"}),
    (PermissionDenied(), 403, {"title": "Forbidden"}),
    (SuspiciousOperation("x"), 400, {"title": "Bad Request"}),
    (RequestDataTooBig("x"), 413, {"title": "Content Too Large"}),
    (BadRequest("odd"), 400, {"detail": "odd"}),
    (
        ValidationError({"name": ["too short"]}, code="short"),
        422,
        {"errors": [{"in": "body", "loc": ["name"], "msg": "too short", "type": "invalid"}]},
    ),
    (
        ValidationError("bad %(x)s", code="bad", params={"x": 1}),
        422,
        {"errors": [{"in": "body", "loc": [], "msg": "bad 1", "type": "bad"}]},
    ),
    (
        RequestError([{"in": "query", "loc": ["a"], "msg": "m", "type": "t"}]),
        422,
        {"errors": [{"in": "query", "loc": ["a"], "msg": "m", "type": "t"}]},
    ),
    (ValueError("secret"), 500, {"title": "Internal Server Error"}),
]


@pytest.mark.parametrize("path", ["/async", "/thread", "/loop"])
@pytest.mark.parametrize(("error", "status", "document"), ERRORS)
def test_errors(
    connect: MakeClient, error: Exception, status: int, document: dict[str, Any], path: str
) -> None:
    response = connect(_raising(error)).get(path)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["status"] == status
    assert document.items() <= body.items()
    assert "secret" not in response.text
    if isinstance(error, Http404):
        assert "detail" not in body  # it may name models


def test_headers_of_an_error(connect: MakeClient) -> None:
    error = HTTPError(401, headers={"WWW-Authenticate": "Bearer"})
    response = connect(_raising(error)).get("/async")
    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("path", ["/async", "/thread", "/loop"])
def test_an_internal_error_is_logged_and_signalled(
    connect: MakeClient, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    seen: list[Any] = []

    def receiver(**kwargs: Any) -> None:
        seen.append(kwargs["request"])

    signals.got_request_exception.connect(receiver)
    try:
        with caplog.at_level(logging.ERROR, logger="django.request"):
            response = connect(_raising(ZeroDivisionError("x"))).get(path)
    finally:
        signals.got_request_exception.disconnect(receiver)
    assert response.status_code == 500
    assert [request.path for request in seen] == [path]
    records = [record for record in caplog.records if record.exc_info]
    assert any(record.exc_info[0] is ZeroDivisionError for record in records)  # type: ignore[index]


@override_settings(DEBUG=True)
def test_debug_tells_the_exception(connect: MakeClient) -> None:
    response = connect(_raising(ValueError("what"))).get("/async")
    assert response.json()["detail"] == "ValueError: what"


class StockError(Exception):
    def __init__(self, item: str) -> None:
        self.item = item


class GoneError(StockError):
    pass


@pytest.mark.parametrize("path", ["/async", "/thread", "/loop"])
def test_exception_handlers(connect: MakeClient, path: str) -> None:
    api = _raising(GoneError("shoe"))

    @api.exception_handler(StockError)
    def handle(request: Any, error: StockError) -> JSON:
        return JSON({"item": error.item, "path": request.path}, status=409)

    response = connect(api).get(path)
    assert (response.status_code, response.json()) == (409, {"item": "shoe", "path": path})


@pytest.mark.parametrize(
    ("result", "status", "content"),
    [
        ({"a": 1}, 200, b'{"a":1}'),
        (Text("x", status=400), 400, b"x"),
        (HttpResponse("d", status=410), 410, b"d"),
        (None, 204, b""),
    ],
)
def test_what_an_exception_handler_returns(
    connect: MakeClient, result: Any, status: int, content: bytes
) -> None:
    api = _raising(StockError("x"))
    api.exception_handler(StockError)(lambda request, error: result)
    response = connect(api).get("/async")
    assert (response.status_code, response.content) == (status, content)


def test_an_exception_handler_for_faults_of_requests(connect: MakeClient) -> None:
    api = API()

    @api.get("/")
    def handler(a: int) -> None: ...

    @api.exception_handler(RequestError)
    def handle(request: Any, error: RequestError) -> JSON:
        return JSON([one["loc"] for one in error.errors], status=400)

    response = connect(api).get("/")
    assert (response.status_code, response.json()) == (400, [["a"]])


@pytest.mark.parametrize("path", ["/async", "/thread", "/loop"])
@pytest.mark.parametrize("waits", [True, False])
def test_asynchronous_exception_handlers(connect: MakeClient, path: str, waits: bool) -> None:
    api = _raising(GoneError("shoe"))

    @api.exception_handler(StockError)
    async def handle(request: Any, error: StockError) -> JSON:
        if waits:
            await asyncio.sleep(0.001)
        return JSON({"item": error.item, "path": request.path}, status=409)

    client = connect(api)
    for _ in range(3):
        response = client.get(path)
        assert (response.status_code, response.json()) == (409, {"item": "shoe", "path": path})


@pytest.mark.parametrize("is_async", [True, False])
def test_an_asynchronous_exception_handler_for_faults(connect: MakeClient, is_async: bool) -> None:
    api = API()
    if is_async:

        @api.get("/")
        async def handler(a: int) -> int:
            return a
    else:

        @api.get("/")
        def handler(a: int) -> int:
            return a

    @api.exception_handler(RequestError)
    async def handle(request: Any, error: RequestError) -> JSON:
        await asyncio.sleep(0)
        return JSON([one["loc"] for one in error.errors], status=400)

    client = connect(api)
    assert (client.get("/").status_code, client.get("/").json()) == (400, [["a"]])
    assert client.get("/?a=3").json() == 3


@pytest.mark.parametrize("path", ["/async", "/thread", "/loop"])
@pytest.mark.parametrize(("error", "status"), [(HTTPError(410), 410), (ValueError("x"), 500)])
def test_an_asynchronous_exception_handler_that_fails(
    connect: MakeClient, path: str, error: Exception, status: int
) -> None:
    api = _raising(StockError("x"))

    @api.exception_handler(StockError, ValueError)
    async def handle(request: Any, caught: StockError) -> None:
        await asyncio.sleep(0)
        raise error

    assert connect(api).get(path).status_code == status


def test_a_result_that_cannot_be_sent_reaches_an_asynchronous_exception_handler(
    connect: MakeClient,
) -> None:
    api = API()

    @api.get("/")
    async def handler() -> int:
        return "x"  # type: ignore[return-value]

    @api.exception_handler(ResultError)
    async def handle(request: Any, error: ResultError) -> Text:
        return Text("sorry", status=500)

    response = connect(api).get("/")
    assert (response.status_code, response.text) == (500, "sorry")


def test_an_exception_handler_that_fails(connect: MakeClient) -> None:
    api = _raising(StockError("x"))

    @api.exception_handler(StockError)
    def handle(request: Any, error: StockError) -> None:
        raise HTTPError(410)

    assert connect(api).get("/async").status_code == 410


def test_the_client_raises() -> None:
    client = TestClient(_raising(ZeroDivisionError("x")))
    with pytest.raises(ZeroDivisionError):
        client.get("/thread")
