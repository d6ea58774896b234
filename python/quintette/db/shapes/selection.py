"""A query set seen as a shape."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator, Sequence
from typing import Any, Generic, Literal, TypeVar, overload

import msgspec
from django.db.models import Manager, Model, QuerySet

from quintette.db.shapes import binding, fetch, keyset, waiting
from quintette.db.shapes.errors import PageError, ShapeError
from quintette.db.shapes.pages import CursorPage, OffsetPage, Page
from quintette.db.shapes.plan import RowPlan

S = TypeVar("S")
T = TypeVar("T")

CHUNK_ROWS = 2000
"""Rows that a stream holds at a time."""
PAGE_ROWS_MAX = 10_000
_GET_ROWS_MAX = 21  # as QuerySet.get() counts

Format = Literal["array", "jsonl"]

_encoder = msgspec.json.Encoder()


class Selection(Generic[S]):
    """Lazy, like a query set; evaluated once. Each method has its asynchronous twin with an ``a``
    before its name; the selection itself may be awaited for its list, or iterated: ``async for``.

    A query for the rows, and one for each to-many field on any level.
    """

    def __init__(self, shape: type[S], queryset: QuerySet[Any]) -> None:
        self.shape = shape
        self.queryset = queryset
        self._plan: RowPlan = binding.bound(shape)
        self._result: list[S] | None = None

    def __repr__(self) -> str:
        return f"<Selection of {self.shape.__name__}: {self.queryset.model.__name__}>"

    def _with(self, queryset: QuerySet[Any]) -> Selection[S]:
        return Selection(self.shape, queryset)

    def _rows(self, queryset: QuerySet[Any] | None = None) -> QuerySet[Any, Any]:
        queryset = self.queryset if queryset is None else queryset
        return fetch.columns(self._plan, fetch.prepared(self._plan, queryset))

    # --- objects ---

    def all(self) -> list[S]:
        """The objects; the same list each time."""
        if self._result is None:
            rows = list(self._rows())
            self._result = fetch.objects(self._plan, rows, self.queryset.db)
        return self._result

    def __iter__(self) -> Iterator[S]:
        return iter(self.all())

    def __len__(self) -> int:
        return len(self.all())

    def __bool__(self) -> bool:
        return bool(self.all())

    @overload
    def __getitem__(self, key: int) -> S: ...
    @overload
    def __getitem__(self, key: slice) -> Selection[S]: ...
    def __getitem__(self, key: int | slice) -> S | Selection[S]:
        if isinstance(key, int):
            if key < 0:
                raise ValueError("negative indexing is not supported")
            if self._result is not None:
                return self._result[key]
            return self._with(self.queryset[key : key + 1]).all()[0]
        if key.step is not None:
            raise ValueError("a selection is sliced without a step")
        return self._with(self.queryset.all()[key])

    def get(self, *args: Any, **kwargs: Any) -> S:
        """The only one; the arguments are those of ``filter``. Raises the model's ``DoesNotExist``
        or ``MultipleObjectsReturned``."""
        queryset = self.queryset
        if args or kwargs:
            queryset = queryset.filter(*args, **kwargs)
        if not queryset.query.is_sliced:
            queryset = queryset.order_by()[:_GET_ROWS_MAX]
        found = self._with(queryset).all()
        model: Any = queryset.model
        name = model._meta.object_name
        if not found:
            raise model.DoesNotExist(f"{name} matching query does not exist.")
        if len(found) > 1:
            count = f"more than {_GET_ROWS_MAX - 1}" if len(found) == _GET_ROWS_MAX else len(found)
            raise model.MultipleObjectsReturned(
                f"get() returned more than one {name} -- it returned {count}!"
            )
        return found[0]

    def first(self) -> S | None:
        found = self._with(self._ordered()[:1]).all()
        return found[0] if found else None

    def count(self) -> int:
        return len(self._result) if self._result is not None else self.queryset.count()

    def exists(self) -> bool:
        return bool(self._result) if self._result is not None else self.queryset.exists()

    def iterator(self, chunk_size: int = CHUNK_ROWS) -> Iterator[S]:
        """Without keeping them: ``chunk_size`` rows at a time, with their to-many fields."""
        for chunk in self._chunks(chunk_size):
            yield from chunk

    def _chunks(self, size: int) -> Iterator[list[S]]:
        rows = self._rows().iterator(chunk_size=size)
        for batch in fetch.batches(iter(rows), size):
            yield fetch.objects(self._plan, batch, self.queryset.db)

    def _ordered(self) -> QuerySet[Any]:
        return self.queryset if self.queryset.ordered else self.queryset.order_by("pk")

    # --- JSON ---

    def json(self) -> bytes:
        """A JSON array of the objects."""
        return _encoder.encode(self.all())

    def stream(self, format: Format = "array", *, chunk_size: int = CHUNK_ROWS) -> Iterator[bytes]:
        """The same in pieces of ``chunk_size`` rows, in memory that does not grow with the rows;
        ``"jsonl"``: a line for each."""
        if format not in ("array", "jsonl"):
            raise ValueError(f"a format is 'array' or 'jsonl', not {format!r}")
        pieces = self._lines if format == "jsonl" else self._array
        return pieces(chunk_size)

    def _lines(self, size: int) -> Iterator[bytes]:
        for chunk in self._chunks(size):
            yield _encoder.encode_lines(chunk)

    def _array(self, size: int) -> Iterator[bytes]:
        before = b"["
        for chunk in self._chunks(size):
            yield before + _encoder.encode(chunk)[1:-1]
            before = b","
        yield b"[]" if before == b"[" else b"]"

    # --- pages ---

    def page(self, number: int = 1, size: int = 50, *, total: bool = True) -> Page[S]:
        """A page by its number, from 1. ``total``: count all rows too, by a query of its own."""
        if number < 1:
            raise PageError("pages are counted from 1")
        items, more, count = self._window((number - 1) * size, size, total)
        return Page(items, number, size, count, more)

    def offset(self, offset: int = 0, limit: int = 50, *, total: bool = True) -> OffsetPage[S]:
        """At most ``limit`` rows behind the first ``offset``."""
        if offset < 0:
            raise PageError("an offset is not negative")
        items, more, count = self._window(offset, limit, total)
        return OffsetPage(items, offset, limit, count, more)

    def _window(self, offset: int, limit: int, total: bool) -> tuple[list[S], bool, int | None]:
        _check_size(limit)
        rows = list(self._rows(self._ordered()[offset : offset + limit + 1]))
        more = len(rows) > limit
        items = fetch.objects(self._plan, rows[:limit], self.queryset.db)
        return items, more, self.queryset.count() if total else None

    def cursor(
        self, after: str | None = None, size: int = 50, *, total: bool = False
    ) -> CursorPage[S]:
        """The page behind the cursor ``after`` in the query set's order: as fast for the last page
        as for the first, and without repeats when rows come and go. Raises ``CursorError``."""
        _check_size(size)
        using = self.queryset.db
        order = keyset.columns_of(self.queryset, using)
        queryset = self.queryset.order_by(*(one.order for one in order))
        queryset.query.standard_ordering = True
        count = self.queryset.count() if total else None
        if after is not None:
            values = keyset.decode(order, self.queryset.model, after)
            behind = keyset.condition(order, values)
            queryset = queryset.none() if behind is None else queryset.filter(behind)
        queryset = fetch.prepared(self._plan, queryset[: size + 1])
        paths = [one.path for one in order]
        rows = list(fetch.columns(self._plan, queryset, paths))
        items = fetch.objects(self._plan, rows[:size], using)
        if len(rows) <= size:
            return CursorPage(items, None, count)
        at = len(self._plan.terms)
        last = rows[size - 1][at : at + len(order)]
        return CursorPage(items, keyset.encode(order, self.queryset.model, last), count)

    # --- asynchronous twins ---

    def _here(
        self, function: Callable[..., T], *args: Any, **kwargs: Any
    ) -> Coroutine[Any, Any, T]:
        return waiting.on(self.queryset.db, function, *args, **kwargs)

    def __await__(self) -> Generator[Any, Any, list[S]]:
        return self._here(self.all).__await__()

    async def __aiter__(self) -> AsyncIterator[S]:
        for item in await self:
            yield item

    async def aget(self, *args: Any, **kwargs: Any) -> S:
        return await self._here(self.get, *args, **kwargs)

    async def afirst(self) -> S | None:
        return await self._here(self.first)

    async def acount(self) -> int:
        return await self._here(self.count)

    async def aexists(self) -> bool:
        return await self._here(self.exists)

    async def aiterator(self, chunk_size: int = CHUNK_ROWS) -> AsyncIterator[S]:
        async for chunk in waiting.iterated(self.queryset.db, self._chunks(chunk_size)):
            for item in chunk:
                yield item

    async def ajson(self) -> bytes:
        return await self._here(self.json)

    def astream(
        self, format: Format = "array", *, chunk_size: int = CHUNK_ROWS
    ) -> AsyncIterator[bytes]:
        return waiting.iterated(self.queryset.db, self.stream(format, chunk_size=chunk_size))

    async def apage(self, number: int = 1, size: int = 50, *, total: bool = True) -> Page[S]:
        return await self._here(self.page, number, size, total=total)

    async def aoffset(
        self, offset: int = 0, limit: int = 50, *, total: bool = True
    ) -> OffsetPage[S]:
        return await self._here(self.offset, offset, limit, total=total)

    async def acursor(
        self, after: str | None = None, size: int = 50, *, total: bool = False
    ) -> CursorPage[S]:
        return await self._here(self.cursor, after, size, total=total)


def _check_size(size: int) -> None:
    if not 1 <= size <= PAGE_ROWS_MAX:
        raise PageError(f"a page has between 1 and {PAGE_ROWS_MAX} rows")


def select(shape: Any, source: Any) -> Selection[Any]:
    """Of a query set, a manager, a model or nothing (the model's default manager)."""
    plan = binding.bound(shape)
    if source is None:
        source = plan.model
    if isinstance(source, type) and issubclass(source, Model):
        source = source._default_manager
    if isinstance(source, Manager):
        source = source.all()
    if not isinstance(source, QuerySet):
        raise ShapeError(f"{shape.__name__}.select() takes a query set, not {source!r}")
    if not issubclass(source.model, plan.model):
        raise ShapeError(
            f"{shape.__name__} is of {plan.model.__name__}, the query set of "
            f"{source.model.__name__}"
        )
    if _fields_of(source) is not None:
        raise ShapeError(f"{shape.__name__}.select() takes instances, not values() of them")
    source = source.all()  # unevaluated: slices of it are query sets
    return Selection(shape, plan.hook(source) if plan.hook else source)


def of_instances(shape: Any, instances: Sequence[Any]) -> list[Any]:
    """Of saved instances of one model and database, in their order; read anew, as no instance holds
    all that a shape may name. Those that are gone, or that the shape's query set leaves out, are
    missing."""
    plan = binding.bound(shape)
    using = instances[0]._state.db
    everything = select(shape, type(instances[0])._base_manager.using(using)).queryset
    found: dict[Any, Any] = {}
    for keys in fetch.key_batches([one.pk for one in instances], using):
        queryset = fetch.prepared(plan, everything.filter(pk__in=keys))
        rows = list(fetch.columns(plan, queryset, ["pk"]))
        at = len(plan.terms)
        for row, made in zip(rows, fetch.objects(plan, rows, using), strict=True):
            found[row[at]] = made
    return [found[one.pk] for one in instances if one.pk in found]


def _fields_of(queryset: Any) -> Any:
    """Of values() and values_list(); None: the rows are instances."""
    return queryset._fields
