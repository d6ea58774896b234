"""Responses without an end of their own: events for browsers, lines of JSON."""

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Generator,
    Iterable,
    Iterator,
)
from contextlib import AsyncExitStack, ExitStack
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Generic, TypeVar, get_args

import msgspec
from asgiref.sync import async_to_sync
from django.db.models import Manager, QuerySet

from quintette import _quintette
from quintette.api import answer, types
from quintette.api.encoding import encode_json
from quintette.api.markers import Header
from quintette.api.responses import Headers, Response, pull

if TYPE_CHECKING:
    from quintette.api.results import Finish

T = TypeVar("T")

# Shared with binding/streams/pieces.c.
_EVENTS, _LINES = range(2)

_ROWS_AT_A_TIME: Final = 2000

KEEP_ALIVE_SECONDS: Final = 15.0
# As the extension has it.
KEEP_ALIVE: Final = b":\n\n"

# The id of the last event that a browser has seen, when it connects again.
LastEventID = Annotated[str | None, Header(alias="Last-Event-ID")]


class Event(msgspec.Struct, Generic[T], frozen=True):
    """One event. Text and bytes are sent as they are, other data as JSON. ``id`` is what the
    browser names when it connects again; ``event`` its listener ("message" if None); ``retry`` the
    milliseconds that it waits before it does."""

    data: T | str = ""
    id: str | int | None = None
    event: str | None = None
    retry: int | None = None
    comment: str | None = None


@cache
def _loosely(kind: int) -> _quintette.Pieces:
    return _quintette.Pieces(kind, (0, None, ()), encode_json, None, Event)


def pieces_of(kind: int, tp: Any) -> _quintette.Pieces:
    """How items of a declared type are sent: filtered by it, like any result."""
    from quintette.api.results import Finish, is_undeclared, shape_of

    if is_undeclared(tp):
        return _loosely(kind)
    finish: Finish = Finish(tp, 200, [], is_async=False)
    return _quintette.Pieces(kind, shape_of(tp), encode_json, finish.convert, Event)


class Streamed(Response):
    """A response whose items are encoded in C as they come."""

    kind: ClassVar[int]
    keep_alive_ms = 0
    prelude: bytes | None = None

    def __init__(self, items: Any, *, status: int = 200, headers: Headers = None) -> None:
        super().__init__(items, status=status, headers=headers)
        self.pieces = _loosely(self.kind)

    def answer(self) -> answer.Answer:
        source = _rows(self.content)
        is_async = isinstance(source, AsyncIterable)
        if not is_async and not isinstance(source, Iterable):
            raise TypeError(f"{type(self).__name__} of {type(source).__name__}: it has no items")
        return (
            answer.STREAM,
            self.status,
            self.fields(),
            source if is_async else iter(source),
            is_async,
            source if hasattr(source, "close") else None,
            source.pieces if isinstance(source, _quintette.Subscription) else self.pieces,
            self.keep_alive_ms,
            self.prelude,
        )


def _rows(source: Any) -> Any:
    """Of a query set: without keeping them all."""
    if isinstance(source, Manager):
        source = source.all()
    if not isinstance(source, QuerySet):
        return source
    if loop_runs():
        return source.aiterator(chunk_size=_ROWS_AT_A_TIME)
    return source.iterator(chunk_size=_ROWS_AT_A_TIME)


def loop_runs() -> bool:
    """In this thread, so that nothing may block it."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class EventStream(Streamed, Generic[T]):
    """Server-sent events, from a sync or async iterable of ``Event`` or of data, or from what a
    ``Channel`` gives. After ``keep_alive`` seconds without an event a comment is sent, so that
    nobody on the way takes the connection for dead; 0: none is. ``retry`` is the milliseconds
    after which a browser that has lost the connection tries again."""

    kind = _EVENTS
    content_type = "text/event-stream"

    def __init__(
        self,
        events: Any,
        *,
        keep_alive: float = KEEP_ALIVE_SECONDS,
        retry: int | None = None,
        status: int = 200,
        headers: Headers = None,
    ) -> None:
        if not 0 <= keep_alive <= 3600:
            raise ValueError("keep_alive is from 0 to 3600 seconds")
        super().__init__(events, status=status, headers=headers)
        given = {name.lower() for name, _ in self._fields}
        # Proxies must neither store an event nor wait for more of them.
        for name, value in (("Cache-Control", "no-store"), ("X-Accel-Buffering", "no")):
            if name.lower() not in given:
                self._fields.append((name, value))
        self.keep_alive_ms = round(keep_alive * 1000)
        if retry is not None:
            self.prelude = self.pieces(Event(retry=retry))


class JSONLines(Streamed, Generic[T]):
    """A value of JSON per line, from a sync or async iterable or a query set."""

    kind = _LINES
    content_type = "application/jsonl"


# --- declared results -------------------------------------------------------------------

_ITERATIONS = (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Generator,
    Iterable,
    Iterator,
)


def _streamed_of(tp: Any) -> tuple[type[Streamed], Any] | None:
    """``EventStream[T]``, ``JSONLines[T]``; an iterator of ``Event[T]`` is the first one too."""
    cls = types.class_of(tp)
    arguments = get_args(types.strip(tp))
    item = arguments[0] if arguments else Any
    if isinstance(cls, type) and issubclass(cls, Streamed):
        return cls, item
    if cls in _ITERATIONS and types.class_of(item) is Event:
        inner = get_args(types.strip(item))
        return EventStream, (inner[0] if inner else Any)
    return None


def is_streamed(tp: Any) -> bool:
    return _streamed_of(tp) is not None


class Streaming:
    """What a handler gives whose result is declared as a stream."""

    def __init__(self, tp: Any, status: int, fields: answer.Fields) -> None:
        found = _streamed_of(tp)
        assert found is not None
        self._class, item = found
        self._pieces = pieces_of(self._class.kind, item)
        self._status = status
        self._fields = [(n, v) for n, v in fields if n.lower() != "content-type"]

    def of(self, response: Response) -> answer.Answer:
        """A stream of the declared kind has the declared items."""
        if isinstance(response, self._class):
            response.pieces = self._pieces
        return response.answer()

    def made_of(self, items: Any) -> answer.Answer:
        return self.of(self._class(items, status=self._status, headers=self._fields))


# --- handlers that yield ----------------------------------------------------------------


class Held:
    """What a handler with dependencies yields: they are left when it ends."""

    def __init__(self, stack: AsyncExitStack, items: Any) -> None:
        self._stack = stack
        self._items = items if isinstance(items, AsyncIterator) else pull(items)
        self._closed = False

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        return await anext(self._items)

    async def aclose(self) -> None:
        if self._closed:
            return
        self._closed = True
        async with self._stack:
            aclose: Any = getattr(self._items, "aclose", None)
            if aclose is not None:
                await aclose()

    def close_on_loop(self) -> None:
        """Called when the response is over, also when nobody has begun to iterate."""
        if not self._closed:
            task = asyncio.get_running_loop().create_task(self.aclose())
            _closing.add(task)
            task.add_done_callback(_closing.discard)

    def close(self) -> None:
        """The same, elsewhere."""
        if not self._closed:
            async_to_sync(self.aclose)()


# The loop keeps weak references to tasks only.
_closing: set[asyncio.Task[None]] = set()


class HeldInThread:
    """The same for synchronous handlers."""

    def __init__(self, stack: ExitStack, items: Iterator[Any]) -> None:
        self._stack = stack
        self._items = items

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return next(self._items)

    def close(self) -> None:
        with self._stack:
            close: Any = getattr(self._items, "close", None)
            if close is not None:
                close()
