"""How transactions begin, above all those of ATOMIC_REQUESTS."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections, transaction
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory, override_settings
from django.test.client import Client
from django.urls import path
from sqlite_things import Things, names

from quintette.db.sqlite3 import reading


def view(request: HttpRequest) -> HttpResponse:
    begin = [query["sql"] for query in connections["sq"].queries if "BEGIN" in query["sql"]]
    if "write" in request.GET:
        Things.create(name=request.method)
    return HttpResponse(" ".join(begin))


urlpatterns = [path("", view)]


@pytest.fixture(autouse=True)
def _urls(sq: Any) -> Iterator[None]:
    with override_settings(ROOT_URLCONF=__name__, DEBUG=True, MIDDLEWARE=[]):
        yield


def begun(method: str) -> str:
    connections["sq"].queries_log.clear()
    return getattr(Client(), method.lower())("/").content.decode()


MODES = [
    ("GET", {}, "BEGIN DEFERRED"),
    ("HEAD", {}, ""),  # without a body
    ("OPTIONS", {}, "BEGIN DEFERRED"),
    ("POST", {}, "BEGIN IMMEDIATE"),
    ("DELETE", {}, "BEGIN IMMEDIATE"),
    ("GET", {"transaction_mode": "IMMEDIATE"}, "BEGIN IMMEDIATE"),
    ("GET", {"transaction_mode": "EXCLUSIVE"}, "BEGIN EXCLUSIVE"),
    ("POST", {"transaction_mode": None}, "BEGIN"),
]


@pytest.mark.parametrize(("method", "options", "begin"), MODES)
def test_atomic_requests(configure: Any, method: str, options: Any, begin: str) -> None:
    configure(atomic_requests=True, **options)
    assert begun(method) == begin
    assert not reading.is_reading()


def test_without_atomic_requests_blocks_are_immediate(sq: Any) -> None:
    assert begun("GET") == ""
    sq.queries_log.clear()
    with override_settings(DEBUG=True), transaction.atomic(using="sq"):
        pass
    assert sq.queries_log[0]["sql"] == "BEGIN IMMEDIATE"


def test_a_safe_request_may_write_after_all(configure: Any) -> None:
    configure(atomic_requests=True)
    assert Client().get("/?write").status_code == 200
    assert names() == {"GET"}


def test_the_method_of_asgi_is_known_too() -> None:
    reading._started(scope={"method": "GET"})
    assert reading.is_reading()
    reading._started(environ=RequestFactory().post("/").environ)
    assert not reading.is_reading()
    reading._started()
    assert not reading.is_reading()
