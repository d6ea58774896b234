"""Spans and metrics by OpenTelemetry's SDK, exported in memory by a served project."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from projects import Project, Served, wait_for

pytest.importorskip("opentelemetry.sdk")

Serve = Callable[..., Served]
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"

SETTINGS = """
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import *

DEBUG = False
QUINTETTE = {{"OPENTELEMETRY": True}}
EXPORTER, READER = InMemorySpanExporter(), InMemoryMetricReader()
PROVIDER = TracerProvider(sampler={sampler})
PROVIDER.add_span_processor(SimpleSpanProcessor(EXPORTER))
trace.set_tracer_provider(PROVIDER)
metrics.set_meter_provider(MeterProvider([READER]))
"""
URLS = """
import asyncio, json, threading
from django.conf import settings
from django.http import HttpResponse, JsonResponse
from django.urls import path
from opentelemetry import context, propagate, trace
from quintette import API

api = API()
tracer = trace.get_tracer("project")

@api.get("/quiet/{n:int}")
async def quiet(n: int) -> dict: return {}

@api.get("/child")
async def child() -> dict:
    with tracer.start_as_current_span("inner"):
        await asyncio.sleep(0)
    return await asyncio.create_task(later())

async def later():
    fields = {}
    propagate.inject(fields)
    trace.get_current_span().set_attribute("project.said", "hello")
    return fields

@api.get("/thread")
def in_thread() -> dict:
    with tracer.start_as_current_span("inner"):
        return {}

@api.get("/raises")
async def raises() -> dict: raise ValueError

def view(request, **kwargs):
    with tracer.start_as_current_span("inner"):
        return HttpResponse("x" * 10)

def text(value): return format(value, "032x")

def spans(request):
    found = [
        {"name": span.name, "kind": span.kind.name, "trace": text(span.context.trace_id),
         "span": format(span.context.span_id, "016x"), "status": span.status.status_code.name,
         "parent": span.parent and format(span.parent.span_id, "016x"),
         "remote": bool(span.parent and span.parent.is_remote),
         "state": dict(span.context.trace_state),
         "usec": (span.end_time - span.start_time) // 1000, "attributes": dict(span.attributes)}
        for span in settings.EXPORTER.get_finished_spans()
    ]
    return JsonResponse({"spans": found})

def measured(request):
    data = settings.READER.get_metrics_data()
    found = {}
    for resource in data.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                found[metric.name] = [
                    {"value": point.value, **dict(point.attributes)}
                    for point in metric.data.data_points
                ]
    return JsonResponse(found)

urlpatterns = [
    path("api/", api.urls), path("view/<int:n>", view), path("spans", spans),
    path("measured", measured),
]
"""
ON = "ParentBased(ALWAYS_ON)"


@pytest.fixture
def start(project: Project, serve: Serve) -> Callable[..., Served]:
    def begin(sampler: str = ON) -> Served:
        project.write("urls.py", URLS)
        project.append("settings.py", SETTINGS.format(sampler=sampler))
        return serve("--noreload")

    return begin


def ask(served: Served, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
    connection = served.connect()
    try:
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def spans(served: Served, name: str, count: int = 1) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []

    def look() -> bool:
        everything = json.loads(served.text("/spans"))["spans"]
        found[:] = [span for span in everything if span["name"] == name]
        return len(found) >= count

    wait_for(look, explain=served.errors)
    return found


def test_a_request_is_a_server_span(start: Callable[..., Served]) -> None:
    """Semantic conventions for HTTP spans, 1.23 and later."""
    served = start()
    ask(served, "/api/quiet/7?q=1&sig=secret", **{"User-Agent": "test/1"})
    [span] = spans(served, "GET /api/quiet/<int:n>")
    assert (span["kind"], span["parent"], span["status"]) == ("SERVER", None, "UNSET")
    assert 0 < span["usec"] < 10_000_000
    attributes = span["attributes"]
    assert attributes.pop("client.port") > 0
    host, port = served.url.removeprefix("http://").rstrip("/").split(":")
    assert attributes == {
        "http.request.method": "GET",
        "url.scheme": "http",
        "url.path": "/api/quiet/7",
        "url.query": "q=1&sig=REDACTED",
        "http.route": "/api/quiet/<int:n>",
        "http.response.status_code": 200,
        "server.address": host,
        "server.port": int(port),
        "client.address": "127.0.0.1",
        "user_agent.original": "test/1",
        "network.protocol.version": "1.1",
        "http.response.body.size": 2,
    }


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/api/child", "GET /api/child"),
        ("/api/thread", "GET /api/thread"),
        ("/view/3", "GET /view/<int:n>"),
    ],
)
def test_children_and_callers(start: Callable[..., Served], path: str, name: str) -> None:
    served = start()
    headers = {"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "vendor=x"}
    ask(served, path, **headers)
    [server] = spans(served, name)
    [inner] = [span for span in spans(served, "inner") if span["trace"] == TRACE]
    assert (server["trace"], server["parent"], server["remote"]) == (TRACE, SPAN, True)
    assert server["state"] == {"vendor": "x"}
    assert inner["parent"] == server["span"]


def test_what_the_project_adds(start: Callable[..., Served]) -> None:
    """The current span is the request's, in tasks that it starts, too; and is sent along."""
    served = start()
    _, text = ask(served, "/api/child")
    [server] = spans(served, "GET /api/child")
    assert server["attributes"]["project.said"] == "hello"
    assert json.loads(text)["traceparent"].split("-")[1:3] == [server["trace"], server["span"]]


def test_errors(start: Callable[..., Served]) -> None:
    served = start()
    assert ask(served, "/api/raises")[0] == 500
    [span] = spans(served, "GET /api/raises")
    assert (span["status"], span["attributes"]["error.type"]) == ("ERROR", "500")


def test_no_route_and_another_method(start: Callable[..., Served]) -> None:
    served = start()
    ask(served, "/nowhere/5")
    ask(served, "/view/1", "BREW")
    [span] = spans(served, "GET")
    assert "http.route" not in span["attributes"]
    [span] = spans(served, "HTTP /view/<int:n>")
    assert span["attributes"]["http.request.method"] == "_OTHER"
    assert span["attributes"]["http.request.method_original"] == "BREW"


@pytest.mark.parametrize(
    ("sampler", "flag", "sampled"),
    [
        (ON, None, True),
        (ON, "00", False),
        (ON, "01", True),
        ("ParentBased(ALWAYS_OFF)", None, False),
        ("ParentBased(ALWAYS_OFF)", "01", True),
        ("ALWAYS_ON", "00", True),
        ("ALWAYS_OFF", "01", False),
        # The lower half of the trace's id is a3ce929d0e0e4736: 0.64 of the whole.
        ("TraceIdRatioBased(0.63)", "01", False),
        ("TraceIdRatioBased(0.65)", "00", True),
        # One that is not known is asked for each request.
        ("ParentBased(ALWAYS_OFF, remote_parent_not_sampled=ALWAYS_ON)", "00", True),
        ("ParentBased(ALWAYS_ON, remote_parent_sampled=ALWAYS_OFF)", "01", False),
    ],
)
def test_sampling(
    start: Callable[..., Served], sampler: str, flag: str | None, sampled: bool
) -> None:
    served = start(sampler)
    headers = {"traceparent": f"00-{TRACE}-{SPAN}-{flag}"} if flag else {}
    ask(served, "/api/child", **headers)
    # One more of which is known that it is sampled, where anything is: it comes later.
    everything = json.loads(served.text("/spans"))["spans"]
    names = [span["name"] for span in everything]
    if sampled:
        spans(served, "GET /api/child")
    assert ("inner" in names) == sampled
    assert ("GET /api/child" in names) <= sampled


def test_what_is_not_sampled_is_passed_on(start: Callable[..., Served]) -> None:
    _, text = ask(start(), "/api/child", traceparent=f"00-{TRACE}-{SPAN}-00")
    version, trace, span, flags = json.loads(text)["traceparent"].split("-")
    assert (version, trace, flags) == ("00", TRACE, "00")
    assert span != SPAN


def test_instruments(start: Callable[..., Served]) -> None:
    served = start()
    for _ in range(3):
        ask(served, "/api/quiet/1")
    found = json.loads(served.text("/measured"))
    assert found["http.server.active_requests"] == [{"value": 1}]
    labels = {"http.route": "/api/quiet/<int:n>", "http.request.method": "GET"}

    def values(name: str, **more: str) -> list[float]:
        wanted = {**labels, **more}.items()
        return [point["value"] for point in found[name] if wanted <= point.items()]

    assert values("http.server.request.count", **{"http.response.status_class": "2xx"}) == [3]
    assert values("http.server.request.duration.bucket", le="+Inf") == [3]
    assert 0 < values("http.server.request.duration.sum")[0] < 10


def test_without_a_provider(project: Project, serve: Serve) -> None:
    project.append("settings.py", "QUINTETTE = {'OPENTELEMETRY': True}\n")
    served = serve("--noreload")
    assert served.text("/") == "one"
    assert "no TracerProvider" in served.errors()
