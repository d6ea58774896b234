"""Requests: the log, warnings, Server-Timing; in the server in C and under others."""

import logging
import re

import pytest
from django.db import connections
from django.test import override_settings
from django.urls import path
from watch_app.models import COUNT, City
from watch_forms import on_loop

from quintette import API, JSON, compiled
from quintette.testing import AsyncTestClient, TestClient

ALIAS = "watch_sqlite"
TIMING = re.compile(r'db;dur=\d+\.\d;desc="(\d+ quer(?:y|ies))", total;dur=\d+\.\d$')

api = API()


@compiled
def by_name(name: str):
    return City.objects.using("watch_sqlite").filter(name=name)


@api.get("/loop")
def loop() -> list[str]:
    return [city.country.name for city in City.objects.using(ALIAS)]


@api.get("/async")
async def asynchronous() -> list[str]:
    return [city.country.name async for city in City.objects.using(ALIAS).select_related("country")]


@api.get("/returned")
async def returned() -> JSON:
    return by_name.json("city 1")


@api.get("/none")
async def none() -> int:
    return 1


def page(request, number):
    from django.http import HttpResponse

    names = [city.country.name for city in City.objects.using(ALIAS)]
    response = HttpResponse(", ".join(names))
    response["Server-Timing"] = "page;dur=1"
    return response


urlpatterns = [path("page/<int:number>/", page), path("", api.urls)]


@pytest.fixture(autouse=True)
def project(watch_sqlite):
    with override_settings(ROOT_URLCONF=__name__):
        yield
    connections[watch_sqlite].close()


def settings(**values):
    return override_settings(QUINTETTE=values)


def test_log_and_header_in_development(caplog):
    with override_settings(DEBUG=True), caplog.at_level(logging.DEBUG, "quintette.db"):
        response = TestClient().get("/loop")
    assert TIMING.match(response.headers["Server-Timing"])[1] == f"{COUNT + 1} queries"
    lines = [r.getMessage() for r in caplog.records if r.name == "quintette.db.queries"]
    assert re.match(rf"GET /loop: {COUNT + 1} queries in \d+\.\d ms, .* ms in all$", lines[0])
    [warning] = [r for r in caplog.records if r.levelno == logging.WARNING]
    text = warning.getMessage()
    assert text.startswith(f"GET /loop ({__name__}.loop): {COUNT} times the same query from ")
    assert "City.country is read one by one" in text
    assert 'select_related("country")' in text
    assert warning.view == f"{__name__}.loop"
    statements = [r for r in caplog.records if r.name == "quintette.db.statements"]
    assert len(statements) == COUNT + 1


def test_django_views_are_named(caplog):
    with override_settings(DEBUG=True):
        response = TestClient().get("/page/7/")
    [warning] = [r for r in caplog.records if r.name == "quintette.db.queries"]
    assert warning.getMessage().startswith(f"GET /page/7/ ({__name__}.page): ")
    fields = response.headers.get_list("Server-Timing")
    assert "page;dur=1" in fields
    assert any(TIMING.match(field) for field in fields)


@pytest.mark.parametrize(("url", "queries"), [("/async", "1 query"), ("/returned", "1 query")])
def test_asynchronous_handlers(url, queries, caplog):
    async def get():
        return await AsyncTestClient().get(url)

    with override_settings(DEBUG=True):
        response = on_loop(get())
    assert TIMING.match(response.headers["Server-Timing"])[1] == queries
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]


def test_requests_without_queries():
    with override_settings(DEBUG=True):
        response = TestClient().get("/none")
    assert TIMING.match(response.headers["Server-Timing"])[1] == "0 queries"


@pytest.mark.parametrize(
    ("debug", "values", "header", "warns"),
    [
        (False, {}, False, False),
        (True, {}, True, True),
        (True, {"SERVER_TIMING": False}, False, True),
        (True, {"WATCH_QUERIES": False}, True, False),
        (True, {"WATCH_QUERIES": False, "SERVER_TIMING": False}, False, False),
        (False, {"SERVER_TIMING": True}, True, False),
        (False, {"WATCH_QUERIES": True}, False, True),
        (True, {"REPEATED_QUERIES_MIN": COUNT + 1}, True, False),
    ],
)
def test_settings(debug, values, header, warns, caplog):
    with override_settings(DEBUG=debug), settings(**values):
        response = TestClient().get("/loop")
    assert ("Server-Timing" in response.headers) == header
    assert any(r.name == "quintette.db.queries" for r in caplog.records) == warns


MIDDLEWARE = ["quintette.db.watch.QueriesMiddleware"]


@pytest.mark.parametrize("url", ["/loop", "/page/1/"])
def test_middleware_under_wsgi(url, caplog):
    with override_settings(DEBUG=True, MIDDLEWARE=MIDDLEWARE):
        response = TestClient(backend="django").get(url)
    assert f'desc="{COUNT + 1} queries"' in response.headers["Server-Timing"]
    [warning] = [r for r in caplog.records if r.name == "quintette.db.queries"]
    assert 'select_related("country")' in warning.getMessage()


def test_middleware_under_asgi(caplog):
    async def get():
        return await AsyncTestClient(backend="django").get("/async")

    with override_settings(DEBUG=True, MIDDLEWARE=MIDDLEWARE):
        response = on_loop(get())
    assert 'desc="1 query"' in response.headers["Server-Timing"]


def test_middleware_beside_the_server_counts_once(caplog):
    with override_settings(DEBUG=True, MIDDLEWARE=MIDDLEWARE):
        response = TestClient().get("/page/1/")
    timed = [f for f in response.headers.get_list("Server-Timing") if TIMING.match(f)]
    assert len(timed) == 1
    assert len([r for r in caplog.records if r.name == "quintette.db.queries"]) == 1


def test_middleware_is_not_used_when_nothing_is_asked_for():
    from django.core.exceptions import MiddlewareNotUsed

    from quintette.db.watch import QueriesMiddleware

    with pytest.raises(MiddlewareNotUsed):
        QueriesMiddleware(lambda request: None)
    assert connections[ALIAS].execute_wrappers == []


def test_requests_at_once_are_apart():
    import asyncio

    async def get():
        client = AsyncTestClient()
        return await asyncio.gather(*(client.get(url) for url in ["/async", "/none"] * 5))

    with override_settings(DEBUG=True):
        responses = on_loop(get())
    found = [TIMING.match(response.headers["Server-Timing"])[1] for response in responses]
    assert found == ["1 query", "0 queries"] * 5
