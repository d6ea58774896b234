"""A query set seen as a shape."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, cast, overload

import msgspec
from django.db.models import Manager, Model, QuerySet

from quintette import _quintette
from quintette.db.shapes import binding, fetch, keyset, reading, waiting
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


if TYPE_CHECKING:
    # A handler may return a selection for the list that becomes of it.
    class _Listed(list[S]): ...
else:

    class _Listed(Generic[S]):
        pass


class Selection(_Listed[S]):
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

    @property
    def one(self) -> S:
        """This selection, as a handler returns it for a single object: ``-> CityOut``. To a type
        checker it is that object."""
        return cast("S", self)

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

    @overload  # type: ignore[override]  # it takes no other integers
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
        found = self._with(_few(queryset)).all()
        _check_only(queryset.model, len(found))
        return found[0]

    def first(self) -> S | None:
        found = self._with(self._ordered()[:1]).all()
        return found[0] if found else None

    def count(self) -> int:  # type: ignore[override]
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

    def _writer(self, queryset: QuerySet[Any] | None = None) -> reading.Writer | None:
        """None: the objects must be made."""
        return reading.writer(self._plan, self._rows(queryset))

    def json(self) -> bytes:
        """A JSON array of the objects, which are not made for it where C can do without them. Of
        objects that are there, else read anew by each call."""
        if self._result is None:
            found = _rows_of(self._writer())
            if found is not None:
                return found[0].array(found[1])
        return _encoder.encode(self.all())

    def stream(self, format: Format = "array", *, chunk_size: int = CHUNK_ROWS) -> Iterator[bytes]:
        """The same in pieces of ``chunk_size`` rows, in memory that does not grow with the rows;
        ``"jsonl"``: a line for each."""
        if format not in ("array", "jsonl"):
            raise ValueError(f"a format is 'array' or 'jsonl', not {format!r}")
        pieces = self._lines if format == "jsonl" else self._array
        return pieces(chunk_size)

    def _lines(self, size: int) -> Iterator[bytes]:
        writer, chunks = self._pieces(size)
        for chunk in chunks:
            yield _encoder.encode_lines(chunk) if writer is None else writer.lines(chunk)

    def _array(self, size: int) -> Iterator[bytes]:
        before = b"["
        writer, chunks = self._pieces(size)
        for chunk in chunks:
            items = _encoder.encode(chunk) if writer is None else writer.array(chunk)
            yield before + items[1:-1]
            before = b","
        yield b"[]" if before == b"[" else b"]"

    def _pieces(self, size: int) -> tuple[reading.Writer | None, Iterator[Any]]:
        """Rows for the writer, or without one their objects."""
        writer = self._writer()
        if writer is not None:
            try:
                return writer, writer.chunks(size)
            except reading.NotInC:
                pass
        return None, self._chunks(size)

    def get_json(self) -> bytes:
        """The only one; as ``get()``, without its object."""
        found = _rows_of(self._writer(_few(self.queryset)))
        if found is None:
            return _encoder.encode(self.get())
        writer, rows = found
        _check_only(self.queryset.model, _count(rows))
        return writer.array(rows)[1:-1]

    def first_json(self) -> bytes:
        """The first one, or ``null``."""
        items = self._with(self._ordered()[:1]).json()
        return b"null" if items == b"[]" else items[1:-1]

    # --- pages ---

    def page(self, number: int = 1, size: int = 50, *, total: bool = True) -> Page[S]:
        """A page by its number, from 1. ``total``: count all rows too, by a query of its own."""
        _check_page(number)
        items, more = self._window((number - 1) * size, size)
        return Page(items, number, size, self._total(total), more)

    def page_json(self, number: int = 1, size: int = 50, *, total: bool = True) -> bytes:
        """The JSON of that page, without its objects."""
        _check_page(number)
        items, more = self._window_json((number - 1) * size, size)
        return _encoder.encode(Page(items, number, size, self._total(total), more))

    def offset(self, offset: int = 0, limit: int = 50, *, total: bool = True) -> OffsetPage[S]:
        """At most ``limit`` rows behind the first ``offset``."""
        _check_offset(offset)
        items, more = self._window(offset, limit)
        return OffsetPage(items, offset, limit, self._total(total), more)

    def offset_json(self, offset: int = 0, limit: int = 50, *, total: bool = True) -> bytes:
        """Their JSON, without their objects."""
        _check_offset(offset)
        items, more = self._window_json(offset, limit)
        return _encoder.encode(OffsetPage(items, offset, limit, self._total(total), more))

    def _total(self, wanted: bool) -> int | None:
        return self.queryset.count() if wanted else None

    def _window_rows(self, offset: int, limit: int) -> QuerySet[Any]:
        """One more than are wanted, to tell whether there is a next page."""
        _check_size(limit)
        return self._ordered()[offset : offset + limit + 1]

    def _window(self, offset: int, limit: int) -> tuple[list[S], bool]:
        rows = list(self._rows(self._window_rows(offset, limit)))
        items = fetch.objects(self._plan, rows[:limit], self.queryset.db)
        return items, len(rows) > limit

    def _window_json(self, offset: int, limit: int) -> tuple[Any, bool]:
        """The items as msgspec.Raw; or, where C cannot make them, as a list."""
        found = _rows_of(self._writer(self._window_rows(offset, limit)))
        if found is None:
            return self._window(offset, limit)
        writer, rows = found
        return msgspec.Raw(writer.array(rows and rows.part(0, limit))), _count(rows) > limit

    def cursor(
        self, after: str | None = None, size: int = 50, *, total: bool = False
    ) -> CursorPage[S]:
        """The page behind the cursor ``after`` in the query set's order: as fast for the last page
        as for the first, and without repeats when rows come and go. Raises ``CursorError``."""
        _check_size(size)
        count = self._total(total)
        order, queryset = self._behind(after, size)
        rows = list(queryset)
        items = fetch.objects(self._plan, rows[:size], self.queryset.db)
        return CursorPage(items, self._next(order, rows[size - 1 :]), count)

    def cursor_json(
        self, after: str | None = None, size: int = 50, *, total: bool = False
    ) -> bytes:
        """The JSON of that page, without its objects."""
        _check_size(size)
        order, queryset = self._behind(after, size)
        found = _rows_of(reading.writer(self._plan, queryset))
        if found is None:
            return _encoder.encode(self.cursor(after, size, total=total))
        writer, rows = found
        last: Sequence[Any] = ()
        if rows is not None and len(rows) > size:
            last = writer.reading.values(rows.part(size - 1, size + 1))
        items: Any = msgspec.Raw(writer.array(rows and rows.part(0, size)))
        return _encoder.encode(CursorPage(items, self._next(order, last), self._total(total)))

    def _behind(self, after: str | None, size: int) -> tuple[list[Any], QuerySet[Any]]:
        """The columns of the order, and the rows of a page and one more; behind the plan's columns
        stand those of the order."""
        order = keyset.columns_of(self.queryset, self.queryset.db)
        queryset = self.queryset.order_by(*(one.order for one in order))
        queryset.query.standard_ordering = True
        if after is not None:
            values = keyset.decode(order, self.queryset.model, after)
            behind = keyset.condition(order, values)
            queryset = queryset.none() if behind is None else queryset.filter(behind)
        queryset = fetch.prepared(self._plan, queryset[: size + 1])
        return order, fetch.columns(self._plan, queryset, [one.path for one in order])

    def _next(self, order: list[Any], last: Sequence[Any]) -> str | None:
        """last: the last row of the page and the one behind it; less than two: it is the end."""
        if len(last) < 2:
            return None
        at = len(self._plan.terms)
        return keyset.encode(order, self.queryset.model, last[0][at : at + len(order)])

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

    async def aget_json(self) -> bytes:
        return await self._here(self.get_json)

    async def afirst_json(self) -> bytes:
        return await self._here(self.first_json)

    async def apage_json(self, number: int = 1, size: int = 50, *, total: bool = True) -> bytes:
        return await self._here(self.page_json, number, size, total=total)

    async def aoffset_json(self, offset: int = 0, limit: int = 50, *, total: bool = True) -> bytes:
        return await self._here(self.offset_json, offset, limit, total=total)

    async def acursor_json(
        self, after: str | None = None, size: int = 50, *, total: bool = False
    ) -> bytes:
        return await self._here(self.cursor_json, after, size, total=total)

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


def _few(queryset: QuerySet[Any]) -> QuerySet[Any]:
    """Enough rows to tell that there is more than one."""
    return queryset if queryset.query.is_sliced else queryset.order_by()[:_GET_ROWS_MAX]


def _check_only(model: Any, rows: int) -> None:
    name = model._meta.object_name
    if not rows:
        raise model.DoesNotExist(f"{name} matching query does not exist.")
    if rows > 1:
        count = f"more than {_GET_ROWS_MAX - 1}" if rows == _GET_ROWS_MAX else rows
        raise model.MultipleObjectsReturned(
            f"get() returned more than one {name} -- it returned {count}!"
        )


def _rows_of(
    writer: reading.Writer | None,
) -> tuple[reading.Writer, _quintette.Rows | None] | None:
    """None: the objects must be made. No rows: there can be none."""
    if writer is None:
        return None
    try:
        return writer, writer.rows()
    except reading.NotInC:
        return None


def _count(rows: _quintette.Rows | None) -> int:
    return 0 if rows is None else len(rows)


def _check_page(number: int) -> None:
    if number < 1:
        raise PageError("pages are counted from 1")


def _check_offset(offset: int) -> None:
    if offset < 0:
        raise PageError("an offset is not negative")


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
