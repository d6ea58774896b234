"""OpenTelemetry by its official SDK: ``QUINTETTE = {"OPENTELEMETRY": True}``.

The project sets a ``TracerProvider`` (and a ``MeterProvider``) as ever. Requests are sampled and
timed in C; a sampled one becomes a server span when it is over, or when somebody asks for the
current span. Those that are not sampled run nothing of this module unless somebody asks.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, ClassVar, NamedTuple

from django.core.exceptions import ImproperlyConfigured

from quintette import _quintette

try:
    from opentelemetry import context as otel_context
    from opentelemetry import metrics as otel_metrics
    from opentelemetry import trace as otel_trace
    from opentelemetry.context import Context
    from opentelemetry.metrics import CallbackOptions, Observation
    from opentelemetry.sdk.trace import Tracer, TracerProvider, sampling
    from opentelemetry.sdk.trace.id_generator import IdGenerator
    from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags
    from opentelemetry.trace.span import TraceState
except ImportError as error:
    raise ImproperlyConfigured(
        "QUINTETTE['OPENTELEMETRY'] needs the package opentelemetry-sdk "
        '(pip install "quintette[opentelemetry]").'
    ) from error

_KNOWN_METHODS = {
    "CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE",
}  # fmt: skip
# Values that the semantic conventions want hidden.
_SECRETS = re.compile(r"((?:^|&)(?:AWSAccessKeyId|Signature|sig|X-Goog-Signature)=)[^&]*")
# Upper bounds of the histogram in C, in seconds.
BOUNDS = (
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0,
    7.5, 10.0,
)  # fmt: skip
_CLASSES = ("none", "1xx", "2xx", "3xx", "4xx", "5xx")


class Finished(NamedTuple):
    """A sampled request that is over; binding/telemetry/spans.c makes the tuple."""

    trace: _quintette.Trace
    context: RequestContext | None
    method: str
    path: str
    query: str
    host: str
    route: str | None
    status: int
    """0: the client left before there was one."""
    client: str
    client_port: int
    duration_usec: int
    sent: int
    user_agent: str
    scheme: str
    version_minor: int


class _Ids(IdGenerator):
    """Those that C has chosen, for the span that this thread is about to start."""

    def __init__(self) -> None:
        self._next = threading.local()

    def expect(self, trace: _quintette.Trace) -> None:
        self._next.trace = trace

    def generate_trace_id(self) -> int:
        return int(self._next.trace.trace_id, 16)

    def generate_span_id(self) -> int:
        return int(self._next.trace.span_id, 16)

    def is_trace_id_random(self) -> bool:
        return True


class _Spans:
    """The spans of a process."""

    def __init__(self, provider: TracerProvider) -> None:
        tracer = provider.get_tracer("quintette")
        if not isinstance(tracer, Tracer):  # OTEL_SDK_DISABLED
            raise _DisabledError
        self._ids = _Ids()
        self._tracer = tracer
        self._tracer.id_generator = self._ids
        self.bound, self.obeys_parent, is_known = _rule(provider.sampler)
        if is_known:
            self._tracer.sampler = sampling.ALWAYS_ON  # C has decided

    def begin(self, trace: _quintette.Trace) -> otel_trace.Span:
        if not trace.sampled:
            return otel_trace.NonRecordingSpan(_context_of(trace, trace.span_id, is_remote=False))
        parent = Context()
        if trace.parent_id is not None:
            caller = _context_of(trace, trace.parent_id, is_remote=True)
            parent = otel_trace.set_span_in_context(otel_trace.NonRecordingSpan(caller), parent)
        self._ids.expect(trace)
        return self._tracer.start_span("HTTP", parent, SpanKind.SERVER, start_time=trace.begin_ns)

    def finish(self, items: list[tuple[Any, ...]]) -> None:
        for item in items:
            done = Finished(*item)
            span = done.context.span if done.context is not None else None
            span = span or self.begin(done.trace)
            if span.is_recording():
                _describe(span, done)
            span.end(done.trace.begin_ns + done.duration_usec * 1000)


class _DisabledError(Exception):
    pass


class RequestContext(Context):
    """What OpenTelemetry takes for a request's context: the span is made when it is asked for. C
    makes it without calling ``__init__``."""

    __slots__ = ("_values", "trace")

    maker: ClassVar[_Spans | None] = None
    trace: _quintette.Trace
    _values: Context

    @property
    def span(self) -> otel_trace.Span | None:
        """None: nobody has asked."""
        values = getattr(self, "_values", None)
        return None if values is None else otel_trace.get_current_span(values)

    @property
    def values_(self) -> Context:
        if not hasattr(self, "_values"):
            span = self.maker.begin(self.trace) if self.maker else otel_trace.INVALID_SPAN
            self._values = otel_trace.set_span_in_context(span, Context())
        return self._values

    def get(self, key: str, default: Any = None) -> Any:
        return self.values_.get(key, default)

    def copy(self) -> dict[str, object]:
        return dict(self.values_)

    def __getitem__(self, key: str) -> object:
        return self.values_[key]

    def __contains__(self, key: object) -> bool:
        return key in self.values_

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_)

    def __len__(self) -> int:
        return len(self.values_)

    def keys(self) -> Any:
        return self.values_.keys()

    def values(self) -> Any:
        return self.values_.values()

    def items(self) -> Any:
        return self.values_.items()

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return bool(self.values_ == other)


def install(server: _quintette.Server, metrics: _quintette.Metrics) -> bool:
    """In a process that serves. False: the project has set no provider of the SDK's."""
    provider = otel_trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        return False
    try:
        spans = _Spans(provider)
    except _DisabledError:
        return True
    RequestContext.maker = spans
    server.spans(spans.finish, RequestContext, _variable(), spans.bound, spans.obeys_parent)
    _Instruments(server, metrics).register(otel_metrics.get_meter("quintette"))
    return True


def _variable() -> ContextVar[Any]:
    """Where OpenTelemetry keeps the current context."""
    runtime = otel_context._RUNTIME_CONTEXT
    variable = getattr(runtime, "_current_context", None)
    if isinstance(variable, ContextVar):
        return variable
    # Somebody's own: spans are made, but are nobody's current one.
    return ContextVar("quintette.opentelemetry")


def _rule(sampler: sampling.Sampler) -> tuple[int | None, bool, bool]:
    """(bound of a trace's id or None for all, the parent decides, this is all that it does)."""
    known = _bound(sampler)
    if known is not _UNKNOWN:
        return known, False, True
    if type(sampler) is sampling.ParentBased:
        root = _bound(sampler._root)
        usual = sampling.ParentBased(sampler._root)
        if root is not _UNKNOWN and _description(sampler) == _description(usual):
            return root, True, True
    return None, False, False


def _description(sampler: Any) -> str:
    return str(sampler.get_description())


_UNKNOWN: Any = object()


def _bound(sampler: sampling.Sampler) -> Any:
    if sampler is sampling.ALWAYS_ON:
        return None
    if sampler is sampling.ALWAYS_OFF:
        return 0
    if type(sampler) is sampling.TraceIdRatioBased:
        return None if sampler.rate >= 1 else sampler.bound
    return _UNKNOWN


def _context_of(trace: _quintette.Trace, span_id: str, *, is_remote: bool) -> SpanContext:
    state = TraceState.from_header([trace.tracestate]) if trace.tracestate else None
    return SpanContext(
        int(trace.trace_id, 16), int(span_id, 16), is_remote, TraceFlags(trace.flags), state
    )


def _describe(span: otel_trace.Span, done: Finished) -> None:
    """By the semantic conventions for HTTP servers."""
    is_known = done.method in _KNOWN_METHODS
    name = done.method if is_known else "HTTP"
    span.update_name(f"{name} {done.route}" if done.route else name)
    span.set_attributes({key: value for key, value in _attributes(done) if value not in ("", None)})
    if not is_known:
        span.set_attribute("http.request.method_original", done.method)
    if done.status >= 500:
        span.set_status(Status(StatusCode.ERROR))


def _attributes(done: Finished) -> Iterator[tuple[str, Any]]:
    yield "http.request.method", done.method if done.method in _KNOWN_METHODS else "_OTHER"
    yield "url.scheme", done.scheme
    yield "url.path", done.path
    yield "url.query", _SECRETS.sub(r"\1REDACTED", done.query)
    yield "http.route", done.route
    yield "http.response.status_code", done.status or None
    yield "error.type", _error(done.status)
    host, port = _address(done.host)
    yield "server.address", host
    yield "server.port", port
    yield "client.address", done.client
    yield "client.port", done.client_port or None
    yield "user_agent.original", done.user_agent
    yield "network.protocol.version", f"1.{done.version_minor}"
    yield "http.response.body.size", done.sent


def _error(status: int) -> str | None:
    if status == 0:
        return "client_left"
    return str(status) if status >= 500 else None


def _address(host: str) -> tuple[str, int | None]:
    name, colon, port = host.rpartition(":")
    if colon and port.isdecimal() and not name.endswith(":"):
        return name, int(port)
    return host, None


class _Instruments:
    """What C has counted in this process, observed when it is collected."""

    def __init__(self, server: _quintette.Server, metrics: _quintette.Metrics) -> None:
        self._server = server
        self._metrics = metrics
        # A predecessor's, where this process has its slot.
        self._before = {(row[0], row[1]): row for row in metrics.rows()}

    def register(self, meter: otel_metrics.Meter) -> None:
        meter.create_observable_up_down_counter(
            "http.server.active_requests", [self._active], "{request}", "Requests under way."
        )
        meter.create_observable_counter(
            "http.server.request.count", [self._counts], "{request}", "Requests, by status class."
        )
        meter.create_observable_counter(
            "http.server.request.duration.sum", [self._sums], "s", "Duration of all requests."
        )
        meter.create_observable_counter(
            "http.server.request.duration.bucket",
            [self._buckets],
            "{request}",
            "Requests that took no longer than `le` seconds.",
        )

    def _active(self, _options: CallbackOptions) -> Iterable[Observation]:
        with suppress(RuntimeError):  # closed
            yield Observation(self._server.stats()["in_flight"])

    def _counts(self, _options: CallbackOptions) -> Iterable[Observation]:
        for labels, row, before in self._rows():
            for name, count, old in zip(_CLASSES, row[2], before[2], strict=True):
                if count > old:
                    yield Observation(count - old, {**labels, "http.response.status_class": name})

    def _sums(self, _options: CallbackOptions) -> Iterable[Observation]:
        for labels, row, before in self._rows():
            yield Observation((row[4] - before[4]) / 1e6, labels)

    def _buckets(self, _options: CallbackOptions) -> Iterable[Observation]:
        for labels, row, before in self._rows():
            total = 0
            for bound, count, old in zip((*BOUNDS, "+Inf"), row[3], before[3], strict=True):
                total += count - old
                yield Observation(total, {**labels, "le": str(bound)})

    def _rows(self) -> Iterator[tuple[dict[str, str], tuple[Any, ...], tuple[Any, ...]]]:
        for row in self._metrics.rows():
            route, method, classes, buckets, *_rest = row
            nothing = (route, method, (0,) * len(classes), (0,) * len(buckets), 0, 0, 0)
            labels = {"http.route": route, "http.request.method": method or "_OTHER"}
            yield labels, row, self._before.get((route, method), nothing)
