"""Request ids and W3C Trace Context, from a head to logs, responses and error documents."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from projects import Project, Served, wait_for

Serve = Callable[..., Served]

HEX = re.compile(r"[0-9a-f]{32}")
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
PARENT = {"traceparent": f"00-{TRACE}-{SPAN}-01"}

URLS = """
import asyncio, json, logging
from django.http import HttpResponse, JsonResponse
from django.urls import path
from quintette import API
from quintette.logs import current_trace

log = logging.getLogger("django.project")
api = API()

def told(request=None):
    trace = current_trace()
    log.warning("seen")
    return {"id": trace.request_id, "trace": trace.trace_id, "span": trace.span_id,
            "parent": trace.parent_id, "sampled": trace.sampled, "next": trace.traceparent,
            "attribute": None if request is None else request.request_id}

@api.get("/async")
async def of_async() -> dict:
    await asyncio.sleep(0)
    return await asyncio.create_task(later())

async def later():
    return told()

@api.get("/plain")
def of_thread() -> dict:
    return told()

@api.get("/raises")
async def raises() -> dict:
    raise ValueError("for the log")

@api.get("/raises-in-a-thread")
def raises_in_a_thread() -> dict:
    raise ValueError("for the log")

def view(request):
    return JsonResponse(told(request))

async def aview(request):
    return JsonResponse(told(request))

def own(request):
    return HttpResponse("own", headers={"x-request-id": "the project's"})

def assigned(request):
    request.request_id = "mine"
    return HttpResponse(request.request_id)

urlpatterns = [path("api/", api.urls), path("view", view), path("aview", aview), path("own", own),
               path("assigned", assigned)]
"""
SAYS = [
    ("/api/async", False),
    ("/api/plain", False),
    ("/view", True),
    ("/aview", True),
]


@pytest.fixture
def start(project: Project, serve: Serve) -> Callable[..., Served]:
    def begin(settings: str = "", urls: str = URLS) -> Served:
        project.write("urls.py", urls)
        project.append("settings.py", f"DEBUG = False\nQUINTETTE = {{{settings}}}\n")
        return serve("--noreload", "--log-format", "json")

    return begin


def fetch(served: Served, path: str, **headers: str) -> tuple[int, dict[str, str], str]:
    connection = served.connect()
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        text = response.read().decode()
        return response.status, {n.lower(): v for n, v in response.getheaders()}, text
    finally:
        connection.close()


def records(served: Served) -> list[dict[str, Any]]:
    return [json.loads(line) for line in served.errors().splitlines() if line.startswith("{")]


@pytest.mark.parametrize(("path", "has_request"), SAYS)
def test_one_request_is_told_alike_everywhere(
    start: Callable[..., Served], path: str, has_request: bool
) -> None:
    served = start()
    status, headers, text = fetch(served, path)
    assert status == 200, text
    told = json.loads(text)
    assert HEX.fullmatch(told["id"])
    assert told["id"] == told["trace"] == headers["x-request-id"]
    assert told["parent"] is None
    assert told["next"] == f"00-{told['trace']}-{told['span']}-02"
    assert told["attribute"] == (told["id"] if has_request else None)
    wait_for(lambda: [r for r in records(served) if r["message"] == "seen"])
    [record] = [r for r in records(served) if r["message"] == "seen"]
    assert (record["request_id"], record["trace_id"]) == (told["id"], told["trace"])
    served.stop()
    [line] = served.access_lines()
    assert (line["request_id"], line["span_id"]) == (told["id"], told["span"])


@pytest.mark.parametrize("place", ["greenlet", "inline"])
@pytest.mark.parametrize("path", ["/api/plain", "/view", "/api/raises-in-a-thread"])
def test_on_the_loop(start: Callable[..., Served], place: str, path: str) -> None:
    served = start(f"'SYNC_VIEWS': {place!r}")
    _, headers, text = fetch(served, path)
    told = json.loads(text)
    assert told.get("id", told.get("request_id")) == headers["x-request-id"]
    wait_for(lambda: any("request_id" in record for record in records(served)))
    [record] = [record for record in records(served) if "request_id" in record]
    assert record["request_id"] == headers["x-request-id"]


@pytest.mark.parametrize("path", ["/api/async", "/api/plain", "/view", "/aview"])
def test_a_trace_is_gone_on_with(start: Callable[..., Served], path: str) -> None:
    """W3C Trace Context, 3.2.2: the trace's id stays, the parent's is replaced by ours."""
    told = json.loads(fetch(start(), path, **PARENT)[2])
    assert (told["trace"], told["parent"], told["sampled"]) == (TRACE, SPAN, True)
    assert told["id"] != TRACE
    assert told["next"] == f"00-{TRACE}-{told['span']}-01"
    assert told["span"] not in {SPAN, "0" * 16}


def test_requests_have_ids_of_their_own(start: Callable[..., Served]) -> None:
    served = start()
    told = [json.loads(fetch(served, path)[2]) for path, _ in SAYS for _ in range(3)]
    for key in ("id", "trace", "span"):
        assert len({one[key] for one in told}) == len(told)


@pytest.mark.parametrize("path", ["/nowhere", "/api/nowhere", "/api/plain%ff"])
def test_answers_without_a_handler_have_one(start: Callable[..., Served], path: str) -> None:
    assert HEX.fullmatch(fetch(start(), path)[1]["x-request-id"])


@pytest.mark.parametrize("path", ["/api/raises", "/api/raises-in-a-thread"])
def test_errors_name_their_request(start: Callable[..., Served], path: str) -> None:
    """RFC 9457, 3.2: an extension member. The log has the same id."""
    served = start()
    status, headers, text = fetch(served, path)
    assert (status, json.loads(text)["request_id"]) == (500, headers["x-request-id"])
    wait_for(lambda: [r for r in records(served) if "exception" in r])
    [record] = [r for r in records(served) if "exception" in r]
    assert record["request_id"] == headers["x-request-id"]


@pytest.mark.parametrize(
    ("settings", "sent", "taken"),
    [
        ("", "abc-1", False),
        ("'REQUEST_ID_TRUST': True", "abc-1", True),
        ("'REQUEST_ID_TRUST': True", "a" * 128, True),
        ("'REQUEST_ID_TRUST': True", "a" * 129, False),
        ("'REQUEST_ID_TRUST': True", 'a"}', False),
        ("'REQUEST_ID_TRUST': True", "a\tb", False),
        ("'REQUEST_ID_TRUST': True", "\xe9", False),
        ("'REQUEST_ID_TRUST': True", "", False),
    ],
)
def test_ids_of_clients(
    start: Callable[..., Served], settings: str, sent: str, taken: bool
) -> None:
    """CVE-2021-44228 and the like came in by fields that were logged as they were sent."""
    headers = fetch(start(settings), "/view", **{"X-Request-ID": sent})[1]
    assert (headers["x-request-id"] == sent) == taken
    assert taken or HEX.fullmatch(headers["x-request-id"])


def test_the_field_has_the_name_that_is_set(start: Callable[..., Served]) -> None:
    headers = fetch(start("'REQUEST_ID_HEADER': 'X-Correlation-ID'"), "/view")[1]
    assert "x-request-id" not in headers
    assert HEX.fullmatch(headers["x-correlation-id"])


def test_nothing_when_it_is_off(start: Callable[..., Served]) -> None:
    urls = "def view(request):\n    return HttpResponse(repr(request.request_id))\n"
    urls = f"from django.http import HttpResponse\nfrom django.urls import path\n{urls}"
    served = start("'REQUEST_ID_HEADER': None", urls + "urlpatterns = [path('view', view)]\n")
    status, headers, text = fetch(served, "/view")
    assert (status, text) == (200, "''")
    assert "x-request-id" not in headers
    served.stop()
    assert "request_id" not in served.access_lines()[0]


def test_the_projects_own_field_wins(start: Callable[..., Served]) -> None:
    served = start()
    connection = served.connect()
    connection.request("GET", "/own")
    response = connection.getresponse()
    assert response.headers.get_all("X-Request-ID") == ["the project's"]
    assert fetch(served, "/assigned")[2] == "mine"


def test_outside_of_requests() -> None:
    import logging

    from quintette.logs import RequestIdFilter, current_trace

    assert current_trace() is None
    record = logging.makeLogRecord({})
    assert RequestIdFilter().filter(record)
    assert vars(record)["request_id"] == vars(record)["trace_id"] == ""
