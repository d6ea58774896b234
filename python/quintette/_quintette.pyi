"""The extension, as far as Python code here uses it."""

from asyncio import AbstractEventLoop, Future
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextvars import Context, ContextVar
from selectors import BaseSelector, SelectorKey
from types import TracebackType
from typing import Any, Generic, ParamSpec, Self, TypeVar, overload

from _typeshed import FileDescriptorLike, ReadableBuffer
from django.http import HttpRequest
from django.http.response import HttpResponseBase

# --- typed API: plan.c, router.c, call.c

class Plan:
    """What C does for one typed route; the tuples are laid out in api/plans.py."""

    def __new__(
        cls,
        handler: Callable[..., Any],
        kind: int,
        params: tuple[tuple[Any, ...], ...],
        positional: int,
        kwnames: tuple[str, ...],
        body: tuple[Any, ...],
        result: tuple[Any, ...],
        reject: Callable[[list[Any], bytes], Any],
        on_error: Callable[[BaseException, Any], tuple[Any, ...]],
        sync: int = 0,
        guards: tuple[Guard, ...] = (),
        websocket: tuple[Any, ...] | None = None,
    ) -> Self: ...
    @property
    def handler(self) -> Callable[..., Any]: ...
    @property
    def preflights(self) -> bool: ...
    @property
    def kind(self) -> int: ...
    @property
    def body_max(self) -> int: ...
    @property
    def accepts_body(self) -> bool: ...
    @property
    def streams_body(self) -> bool: ...
    route_number: int

class Guard:
    """What stands before a typed handler; binding/guards/guard.h."""

class StackGuard(Guard):
    def __new__(
        cls,
        *,
        asks: tuple[Callable[[Any], Any], ...],
        lines: tuple[tuple[bytes, bytes, bool], ...],
        lazy: int,
        session_store: type | None,
        finish: Callable[..., Any],
        always_finish: bool,
        locale: Callable[[Any], Any] | None,
    ) -> Self: ...

class PythonGuard(Guard):
    def __new__(
        cls,
        *,
        before: Callable[[Any], Any] | None = None,
        after: Callable[[Any, int, list[tuple[str, str]]], None] | None = None,
    ) -> Self: ...

class Pieces:
    """How the items of a stream are sent; see api/streams.py."""

    def __new__(
        cls,
        kind: int,
        shape: tuple[Any, ...],
        encode: Callable[[Any], bytes],
        convert: Callable[[Any], Any] | None,
        event_class: type,
    ) -> Self: ...
    def __call__(self, item: Any, /) -> bytes: ...

codings: tuple[str, ...]

class Encoder:
    """A body that is being compressed; binding/responses/encoder.c."""

    def feed(self, data: ReadableBuffer | str, /) -> bytes: ...
    def flush(self, data: ReadableBuffer | str, /) -> bytes: ...
    def finish(self) -> bytes: ...

class CompressGuard(Guard):
    def __new__(
        cls,
        *,
        codings: tuple[str, ...],
        level: int,
        min_size: int,
        types: tuple[bytes, ...],
        padding: bool,
        over: Callable[[Iterable[Any], Encoder], Iterator[bytes]],
        over_async: Callable[[AsyncIterable[Any], Encoder], AsyncIterator[bytes]],
        in_pieces: Callable[[bytes, Encoder], AsyncIterator[bytes]],
    ) -> Self: ...

class LimitTable:
    """What throttles remember of their keys; binding/traffic/limit_table.h."""

    def __new__(cls, keys: int, shared: bool) -> Self: ...

class FieldsGuard(Guard):
    """binding/traffic/fields_guard.c."""

    def __new__(cls, plain: bytes, html: bytes) -> Self: ...

class Proxies:
    """Whom to believe what is forwarded; binding/traffic/client.h."""

    def __new__(
        cls,
        networks: tuple[str, ...],
        local: bool,
        kind: int,
        claims: tuple[bytes, ...],
        takes_host: bool,
    ) -> Self: ...
    def resolve(
        self, peer: str, fields: list[tuple[str, str]], /
    ) -> tuple[str, str, str, list[str], bool]: ...

class CorsGuard(Guard):
    """binding/traffic/cors.h."""

    def __new__(
        cls,
        *,
        exact: tuple[bytes, ...],
        patterns: tuple[tuple[bytes, bytes], ...],
        matchers: tuple[Callable[[str], Any], ...],
        grant: bytes,
        preflight: bytes,
        any: bool,
        echo_headers: bool,
        private_network: bool,
    ) -> Self: ...
    def granted(self, fields: list[tuple[str, str]], preflight: bool, /) -> bytes: ...

class ThrottleGuard(Guard):
    """binding/traffic/throttle.h."""

    def __new__(
        cls,
        *,
        count: int,
        period_nsec: int,
        burst: int,
        by: int,
        ipv6_bits: int,
        key_of: Callable[[Any], Any] | None,
        table: LimitTable | None,
        ask: Callable[[bytes], Any] | None,
        secret: bytes,
        item: bytes,
        policy: bytes,
        refusal: bytes,
        body: bytes,
    ) -> Self: ...

# --- who asks: auth.c and its kin

class AuthGuard(Guard):
    """Says who asks; binding/auth/auth.h."""

class AuthCache:
    def __new__(cls, size_max: int) -> Self: ...
    def __len__(self) -> int: ...
    def get(self, digest: bytes, /) -> Any: ...
    def put(self, digest: bytes, value: Any, seconds: float, /) -> None: ...
    def drop(self, digest: bytes, /) -> None: ...
    def clear(self) -> None: ...

class CredentialGuard(AuthGuard):
    def __new__(
        cls,
        *,
        kind: int,
        name: bytes,
        authenticate: Callable[..., Any],
        unauthorized: tuple[Any, ...],
        required: bool,
        takes_request: bool = False,
        find_user: Callable[[Any], Any] | None = None,
        digest: Callable[[bytes], Any] | None = None,
        cache: AuthCache | None = None,
    ) -> Self: ...

class SessionGuard(AuthGuard):
    def __new__(
        cls,
        *,
        cookie: bytes,
        begin: Callable[[Any], Any],
        finish: Callable[[Any, int, list[Any], bool], Any],
        unauthorized: tuple[Any, ...],
        required: bool,
        in_any: bool = False,
        always: bool = False,
    ) -> Self: ...

class AnyGuard(AuthGuard):
    def __new__(
        cls, ways: tuple[AuthGuard, ...], *, unauthorized: tuple[Any, ...], required: bool
    ) -> Self: ...

class JwtKey:
    def __new__(
        cls, kind: str, parts: tuple[bytes, ...], alg: str = "", kid: str = "", typ: str = "JWT"
    ) -> Self: ...
    @property
    def alg(self) -> str: ...
    @property
    def kid(self) -> str: ...
    @property
    def signs(self) -> bool: ...
    def sign(self, payload: bytes, /) -> str: ...

class Claims(Mapping[str, Any]):
    """The claims of a verified token: a mapping, decoded when somebody looks."""

    @property
    def payload(self) -> bytes: ...
    @property
    def scopes(self) -> frozenset[str]: ...
    def __getitem__(self, key: str, /) -> Any: ...
    def __iter__(self) -> Iterator[str]: ...
    def __len__(self) -> int: ...

class JwtVerifier:
    keys: tuple[JwtKey, ...]
    revoked: frozenset[str]
    fresh_until: float
    def __new__(
        cls,
        keys: tuple[JwtKey, ...],
        decode: Callable[[bytes], Any],
        *,
        typed: bool = False,
        issuer: str | None = None,
        audiences: tuple[str, ...] | None = None,
        typ: str | None = None,
        needs_expiry: bool = True,
        leeway: int = 0,
        age_max: int = 0,
        cache_size: int = 0,
    ) -> Self: ...
    def verify(self, token: str, now: int | None = None, /) -> tuple[str, Any]: ...

class JwtGuard(AuthGuard):
    def __new__(
        cls,
        verifier: JwtVerifier,
        unauthorized: tuple[Any, ...],
        required: bool,
        refusals: dict[str, tuple[Any, ...]],
        bad_request: tuple[Any, ...],
        cross_site: tuple[Any, ...],
        find_user: Callable[[Any], Any],
        cookie: bytes | None,
        same_site: Callable[[Any], bool] | None,
        renew: Callable[[int, int], Awaitable[int] | None] | None,
    ) -> Self: ...

class PermissionGuard(Guard):
    def __new__(
        cls,
        tests: tuple[tuple[int, int, int, bool, Any], ...],
        *,
        forbidden: tuple[Any, ...],
        scopes_of: Callable[[Any], Any],
        defer: Callable[[Any], Any] | None = None,
        unchecked: Callable[[Any], Any] | None = None,
    ) -> Self: ...

def set_auth(
    lazy_user: type[Any],
    load: Callable[[Any], Any],
    nobody: Callable[[], Any],
    attach: Callable[[Any], Any],
    /,
) -> None: ...

class ConditionalGuard(Guard):
    def __new__(
        cls,
        *,
        tag: str,
        key: bytes,
        ask: Callable[[Any, dict[str, Any]], Awaitable[Any]] | None,
        refuse: Callable[[], BaseException],
    ) -> Self: ...

class Channel:
    """Events for many at once; see api/channels.py."""

    def __new__(cls, pieces: Pieces, history: int, history_bytes: int, cuts: bool) -> Self: ...
    def send(self, event: Any, /) -> None: ...
    def open(self, cls: type[Any], last_event_id: str | None, /) -> Any: ...
    def close(self) -> None: ...
    @property
    def subscribers(self) -> int: ...
    @property
    def closed(self) -> bool: ...

class BodySource:
    """A request's body, taken while it comes; see api/bodies.py."""

    def take(self, size: int, /) -> bytes | None: ...
    def set_wake(self, wake: Callable[[], object], /) -> bool: ...
    @property
    def fault(self) -> tuple[int, str] | None: ...
    @property
    def content_type(self) -> str: ...

class Subscription:
    def take(self) -> list[Any] | None: ...
    def set_wake(self, wake: Callable[[], object] | None, /) -> bool: ...
    @property
    def pieces(self) -> Pieces: ...
    @property
    def missed(self) -> int: ...

class ResponseStore:
    def __new__(
        cls,
        *,
        bytes_max: int,
        count_max: int,
        tag_key: bytes,
        wake: Callable[[list[Any], bool], None],
    ) -> Self: ...
    def invalidate(self, *tags: str) -> None: ...
    def clear(self) -> None: ...
    def stats(self) -> dict[str, int]: ...

class CacheGuard(Guard):
    def __new__(
        cls,
        *,
        store: ResponseStore,
        secret: bytes,
        scope: str,
        vary: tuple[bytes, ...],
        seconds: float,
        stale_seconds: float,
        by_user: bool,
        public: bool,
        tags: tuple[str, ...] | Callable[[Any, dict[str, Any]], tuple[str, ...]],
        lines: bytes,
        control: bytes,
        tag_field: str | None,
        wait: Callable[[list[Any]], Awaitable[bool]],
        load: Callable[[bytes, tuple[str, ...]], Awaitable[Any]] | None,
        save: Callable[[bytes, Any, Any], None] | None,
        asave: Callable[[bytes, Any, Any], Awaitable[None]] | None,
        context: Callable[[], str] | None,
        separator: str,
    ) -> Self: ...

class IdempotentGuard(Guard):
    def __new__(
        cls,
        *,
        field: bytes,
        scope: str,
        secret: bytes,
        body_max: int,
        required: bool,
        of_anybody: bool,
        begin: Callable[[bytes, bytes], Awaitable[tuple[int, Any]]],
        finish: Callable[[bytes, bytes, str, Any], None],
        afinish: Callable[[bytes, bytes, str, Any], Awaitable[None]],
        refuse: Callable[[int], BaseException],
    ) -> Self: ...

class Router:
    def __new__(cls) -> Self: ...
    def __len__(self) -> int: ...
    def add(self, method: str | None, pattern: str, route: Any, /) -> None: ...
    def add_view(self, pattern: str, sync: int = 0, /) -> None: ...
    def add_converter(self, name: str, accepts: Callable[[str], bool], /) -> None: ...
    def match(self, method: str, path: bytes, /) -> tuple[Any, tuple[bytes, ...]] | None: ...

class Call:
    def __new__(
        cls,
        plan: Plan,
        method: str,
        target: bytes,
        fields: list[tuple[bytes, bytes]],
        body: bytes | bytearray | memoryview,
        request: Any,
        params: tuple[bytes, ...],
    ) -> Self: ...
    @property
    def kind(self) -> int: ...
    @property
    def later(self) -> Any: ...
    def before(self) -> tuple[Any, ...] | None: ...
    def resume(self, result: Any, /) -> tuple[Any, ...] | None: ...
    def after(self, answer: tuple[Any, ...] | None, may_block: bool, /) -> tuple[Any, ...]: ...
    def invoke(self) -> Any: ...
    def encode(self, result: Any, /) -> tuple[Any, ...]: ...
    def fail(self, exception: BaseException, /) -> tuple[Any, ...]: ...

# --- middleware_segment.c, middleware_view.c

class Segment:
    def __new__(
        cls,
        steps: tuple[tuple[Any, ...], ...],
        get_response: Callable[[Any], Any],
        handler: Any,
        raises: bool,
    ) -> Self: ...
    def __call__(self, request: Any) -> Any: ...
    def enter(self, request: Any, at: int, /) -> tuple[int, Any, Callable[..., Any] | None]: ...
    def leave(
        self, request: Any, response: Any, at: int, /
    ) -> tuple[int, Any, Callable[..., Any] | None]: ...

class CsrfView:
    def __new__(cls, instance: Any) -> Self: ...
    def __call__(self, request: Any, callback: Any, args: Any, kwargs: Any, /) -> Any: ...
    def passes(self, request: Any, callback: Any, /) -> bool: ...

# --- requests: request.c

class Request:
    """One request as it came in. Made by the server alone."""

    _lazy: int
    _session_store: Any

    @property
    def method(self) -> str: ...
    @property
    def raw_path(self) -> bytes: ...
    @property
    def path(self) -> str: ...
    @property
    def request_id(self) -> str: ...
    @property
    def query_string(self) -> bytes: ...
    @property
    def http_version(self) -> str: ...
    @property
    def scheme(self) -> str: ...
    @property
    def fields(self) -> list[tuple[bytes, bytes]]: ...
    @property
    def client(self) -> tuple[str, int] | None: ...
    @property
    def server(self) -> tuple[str, int] | None: ...
    @property
    def body_len(self) -> int: ...
    @property
    def is_gone(self) -> bool: ...
    @property
    def is_doubted(self) -> bool: ...
    def __copy__(self) -> Self: ...
    def field(self, name: str, /) -> str | None: ...
    def body_bytes(self) -> bytes: ...
    def body_fd(self) -> int: ...
    def cookies(self) -> dict[str, str]: ...
    def environ(self) -> dict[str, Any]: ...

def set_request_class(cls: type[Request], /) -> None: ...
def keep_freed_memory(size: int, /) -> None: ...

# --- request ids and traces: trace.c, trace_type.c

class Trace:
    @property
    def request_id(self) -> str: ...
    @property
    def trace_id(self) -> str: ...
    @property
    def span_id(self) -> str: ...
    @property
    def parent_id(self) -> str | None: ...
    @property
    def sampled(self) -> bool: ...
    @property
    def flags(self) -> int: ...
    @property
    def traceparent(self) -> str: ...
    @property
    def tracestate(self) -> str: ...
    @property
    def begin_ns(self) -> int: ...

trace_var: ContextVar[Trace]

# --- metrics: metrics.c, server_metrics.c

class Metrics:
    def __new__(
        cls,
        names: tuple[str, ...],
        patterns: dict[Any, int | None],
        by_text: dict[str, int],
        slots: int,
    ) -> Self: ...
    def claim(self) -> bool: ...
    def release(self, pid: int, /) -> None: ...
    def text(self, openmetrics: bool = False, /) -> bytes: ...
    def rows(
        self,
    ) -> list[tuple[str, str, tuple[int, ...], tuple[int, ...], int, int, int]]: ...

# --- watching: watch.c

def set_watch(
    request: Callable[[str, bytes, Any], Any] | None,
    query: Callable[[Statement, tuple[Any, ...]], Callable[[bool], None] | None] | None,
    /,
) -> None: ...

# --- the server and its loop: server.c, poller.c, threads.c, stream.c, memory.c

scanner: str

def listen(host: str, port: int, backlog: int = 2048, reuse_port: bool = False) -> int: ...

class Poller(BaseSelector):
    def register(
        self, fileobj: FileDescriptorLike, events: int, data: Any = None
    ) -> SelectorKey: ...
    def unregister(self, fileobj: FileDescriptorLike) -> SelectorKey: ...
    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]: ...
    def get_map(self) -> Mapping[FileDescriptorLike, SelectorKey]: ...
    def bind_loop(self, loop: AbstractEventLoop, /) -> None: ...

class ThreadPool:
    def __new__(cls, threads_max: int = 16) -> Self: ...
    def stop(self, timeout: float = 5, /) -> bool: ...
    def stats(self) -> dict[str, int]: ...

class Watchdog:
    """Notices what holds the event loop; one at a time in a process."""

    def __new__(
        cls,
        poller: Poller,
        limit_msec: int,
        look: Callable[[int, Any], Any],
        callback: Callable[[int], Any],
        report: Callable[[Any, float, bool], object],
    ) -> Self: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...

class Server:
    def __new__(
        cls,
        poller: Poller | None = None,
        *,
        router: Router | None = None,
        django_sync: Callable[[Any], Any] | None = None,
        django_async: Callable[[Any], Awaitable[Any]] | None = None,
        threads: ThreadPool | None = None,
        executor: Callable[[Any], Any] | None = None,
        limits: dict[str, int] = ...,
        statics: Sequence[tuple[str, str, dict[str, Any]]] | None = None,
        access_log: int = 0,
        access_log_fd: int = 1,
        on_error: Callable[[BaseException, Any], object] | None = None,
        allowed_hosts: Sequence[str] | None = None,
        forwarded_host: bool = False,
        tidy: Callable[[], object] | None = None,
        on_exhausted: Callable[[int], object] | None = None,
        sync_views: int = 1,
    ) -> Self: ...
    @property
    def drained(self) -> bool: ...
    def accept_on(self, fd: int, /) -> None: ...
    def trust(self, proxies: Proxies | None, /) -> None: ...
    def drain(self) -> None: ...
    def abort(self) -> None: ...
    def close(self) -> None: ...
    def stats(self) -> dict[str, int]: ...
    def memory_connection(self) -> Any: ...
    def trace(self, name: str, trust: bool, seed: bytes, /) -> None: ...
    def spans(
        self,
        finish: Callable[[list[tuple[Any, ...]]], object],
        context_class: type,
        variable: ContextVar[Any],
        bound: int | None,
        obeys_parent: bool,
        /,
    ) -> None: ...
    def measure(
        self, metrics: Metrics, path: str, allow: list[str] | None, counts: bool, /
    ) -> None: ...

class Stream:
    def write(self, chunk: bytes | str, /) -> bool: ...
    def drained(self) -> Future[None]: ...

class WebSocket:
    """Base of quintette.WebSocket, which says what its methods do."""

def set_websocket_classes(socket: type[WebSocket], closed: type[Exception], /) -> None: ...
def websocket_broadcast(sockets: Iterable[WebSocket], message: Any, /) -> int: ...

# --- Django's request path: django_*.c

class DjangoHandler:
    """BaseHandler's methods in C; a base in front of it."""

    def __call__(self, request: HttpRequest, /) -> HttpResponseBase: ...
    def get_response(self, request: HttpRequest, /) -> HttpResponseBase: ...
    def _get_response(self, request: HttpRequest, /) -> HttpResponseBase: ...
    def resolve_request(self, request: HttpRequest) -> Any: ...

def set_django(parts: dict[str, Any], /) -> None: ...
def has_other_receivers(signal: Any, /) -> bool: ...
def set_script_prefix() -> None: ...
def close_response(response: Any, /) -> None: ...

# --- the rest is still to be described

def __getattr__(name: str) -> Any: ...

# --- greenlets: sync_call.c, wait.c, fd_wait.c, lock.c

_P = ParamSpec("_P")
_Item = TypeVar("_Item")
_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)

class SyncCall(Coroutine[Any, None, _T], Generic[_T]):
    """Runs func in a greenlet when it is awaited, on the thread that awaits it."""

    def __new__(
        cls, func: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs
    ) -> SyncCall[_T]: ...
    def __await__(self) -> Generator[Any, None, _T]: ...
    def send(self, value: None, /) -> Any: ...
    def throw(self, *args: Any) -> Any: ...
    def close(self) -> None: ...

class Wait:
    """Something that will be over once; a future to asyncio. Of the running loop."""

    def __new__(cls) -> Self: ...
    def __await__(self) -> Generator[Any, None, Any]: ...
    def finish(self, result: Any = None, /) -> None: ...
    def fail(self, exception: BaseException, /) -> None: ...
    def expire(self) -> None: ...
    @property
    def expired(self) -> bool: ...
    def result(self) -> Any: ...
    def exception(self) -> BaseException | None: ...
    def done(self) -> bool: ...
    def cancelled(self) -> bool: ...
    def cancel(self, msg: str | None = None) -> bool: ...
    def get_loop(self) -> AbstractEventLoop: ...
    def add_done_callback(
        self, fn: Callable[[Any], object], *, context: Context | None = None
    ) -> None: ...
    def remove_done_callback(self, fn: Callable[[Any], object], /) -> int: ...

class FdWait:
    """Readiness of one descriptor, for synchronous code in greenlets of one loop."""

    def __new__(cls, fd: int) -> Self: ...
    def wait(self, events: int, timeout: float | None = None) -> int: ...
    def drive(self, generator: Generator[int, int, _T], interval: float | None = None) -> _T: ...
    def close(self) -> None: ...
    @property
    def stirred(self) -> bool: ...

class Lock:
    """Mutual exclusion of greenlets, coroutines and threads, in the order of asking."""

    def __new__(cls) -> Self: ...
    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool: ...
    def release(self) -> None: ...
    def locked(self) -> bool: ...
    def __enter__(self) -> bool: ...
    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
        /,
    ) -> None: ...
    def __aenter__(self) -> Coroutine[Any, None, bool]: ...
    def __aexit__(self, *args: object) -> Coroutine[Any, None, None]: ...

def can_wait() -> bool: ...
def steppers() -> list[Any]: ...
def wait_for(awaitable: Awaitable[_T], /) -> _T: ...

class Query(Generic[_P, _T]):
    """A query that was declared once: @compiled makes these."""

    def __init__(
        self,
        parameters: tuple[tuple[Any, ...], ...],
        validate: Callable[[int, Any], Any],
        compile: Callable[[tuple[Any, ...]], Statement],
        variants_max: int,
    ) -> None: ...
    def __call__(self, *args: _P.args, **kwargs: _P.kwargs) -> Pending[_T]: ...
    @overload
    def json(  # type: ignore[overload-overlap]  # the first that fits counts
        self: Query[_P, list[_Item]], *args: _P.args, **kwargs: _P.kwargs
    ) -> PendingList[_Item]: ...
    @overload
    def json(self, *args: _P.args, **kwargs: _P.kwargs) -> PendingResult: ...
    def _statement(self, *args: _P.args, **kwargs: _P.kwargs) -> Statement: ...
    def _vary(self, index: int, zone: Callable[[], str] | None = None, /) -> None: ...
    @property
    def _variants(self) -> dict[tuple[Any, ...], Statement]: ...

class Statement:
    """One SQL text of a compiled query; see quintette.db.compiled.statement."""

    def __new__(
        cls,
        python: Any,
        alias: str,
        is_postgresql: bool,
        in_python: bool,
        mode: int,
        sql: bytes,
        slots: tuple[tuple[Any, ...], ...],
        columns: tuple[tuple[Any, ...], ...],
        steps: tuple[tuple[Any, ...], ...] | None,
        children: tuple[Statement, ...] = ...,
        text_types: set[int] = ...,
    ) -> Self: ...
    in_python: bool
    @property
    def python(self) -> Any: ...
    @property
    def has_plan(self) -> bool: ...

class Pending(Generic[_T_co]):
    """A call of a compiled query: await it, or get() its result."""

    def get(self) -> _T_co: ...
    # As of asyncio.Future, for gather() and its like.
    def add_done_callback(
        self, fn: Callable[[Any], object], /, *, context: Context | None = None
    ) -> None: ...
    def remove_done_callback(self, fn: Callable[[Any], object], /) -> int: ...
    def cancel(self, msg: Any | None = None) -> bool: ...
    def cancelled(self) -> bool: ...
    def done(self) -> bool: ...
    def result(self) -> _T_co: ...
    def exception(self) -> BaseException | None: ...
    def get_loop(self) -> AbstractEventLoop: ...
    def outcome(self, result: Any, /) -> Any: ...
    def __iter__(self) -> Iterator[Any]: ...
    def __await__(self) -> Generator[Any, None, _T_co]: ...
    @property
    def statement(self) -> Statement: ...
    @property
    def arguments(self) -> tuple[Any, ...]: ...
    @property
    def as_json(self) -> bool: ...

# What these are for type checkers alone: a handler may return them for what becomes of them.
class PendingList(Pending[bytes], list[_Item]):
    """JSON of a list, to await; from a handler, the list itself."""

class PendingResult(Pending[bytes], Any):  # type: ignore[misc]
    """JSON of anything else."""

class PgPool:
    """Connections to one PostgreSQL database, of one event loop."""

    def __new__(
        cls,
        poller: Poller,
        alias: str,
        library: str,
        params: dict[str, str],
        startup_sql: str | None,
        connections_max: int = ...,
        timeout_msec: int = ...,
        connect_timeout_msec: int = ...,
        waiting_max: int = ...,
        idle_msec: int = ...,
        lifetime_msec: int = ...,
        prepared_max: int = ...,
    ) -> Self: ...
    def close(self) -> None: ...
    def stats(self) -> dict[str, int]: ...

def pg_pools(poller: object, /) -> dict[str, PgPool]: ...
def make_dicts(
    names: tuple[str, ...], rows: Iterable[Sequence[Any]], /
) -> list[dict[str, Any]]: ...

class ModelMaker:
    """Makes instances of a model as Django makes them of a query's rows."""

    def __new__(
        cls,
        model: type,
        state_class: type,
        db: str,
        fetch_mode: Any,
        fields: tuple[tuple[str, int, bool], ...],
        related: tuple[tuple[ModelMaker, int, Any, Any], ...],
        annotations: tuple[tuple[str, int, bool], ...],
    ) -> Self: ...
    def make(self, row: Any, /) -> Any: ...
    def make_all(self, rows: Any, /) -> list[Any]: ...

class PgResults:
    """Reads the results of the driver that has loaded libpq."""

    def __new__(cls, library: str) -> Self: ...
    @property
    def version(self) -> int: ...
    def read(self, statement: Statement, pgresult: int, as_json: bool, /) -> Any: ...
    def rows(self, statement: Statement, owner: object, pgresult: int, /) -> Any: ...
    def tuples(self, pgresult: int, /) -> Any: ...

class Rows:
    """Rows that a query has given, as the driver keeps them; or some of them."""

    def __new__(cls, statement: Statement, rows: list[Any]) -> Self: ...
    def __len__(self) -> int: ...
    def keys(self, column: int, /) -> Any: ...
    def json(self, children: tuple[Children, ...], /) -> Any: ...
    def lines(self, children: tuple[Children, ...], /) -> Any: ...
    def children(self, children: tuple[Children, ...], /) -> Any: ...
    def all(self) -> list[tuple[Any, ...]]: ...
    def part(self, first: int, end: int, /) -> Rows: ...

class Children:
    """Rows of a to-many field, in JSON and by their parents' keys."""

    def __new__(cls) -> Self: ...
    def __len__(self) -> int: ...

class SqliteFile:
    """A connection to a SQLite file, of one thread."""

    def __new__(
        cls, library: str, path: str, init_sql: str | None, is_uri: bool, budget_usec: int
    ) -> Self: ...
    def close(self) -> None: ...

# --- the ORM: statement_keys.c

class StatementKeys:
    """What two queries must have in common to have the same SQL."""

    def __new__(
        cls,
        *,
        query: type,
        where: type,
        col: type,
        base_table: type,
        join: type,
        field: type,
        relation: type,
        lookups: frozenset[type],
        lists: frozenset[type],
        flags: frozenset[type],
        scalars: frozenset[type],
        ignored: frozenset[str],
    ) -> Self: ...
    def __call__(self, query: Any, found: list[Any], kept: list[Any] = ..., /) -> bytes | None: ...
