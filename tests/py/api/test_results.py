"""What handlers return, and what of it is sent."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import functools
import io
import itertools
import os
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Generic, NewType, TypedDict, TypeVar
from uuid import UUID

import attrs
import live
import pydantic
import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.db import connection, connections
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.utils.translation import gettext_lazy
from live import MakeClient, wait_for
from msgspec import Struct

from quintette import (
    API,
    HTML,
    JSON,
    Depends,
    JSONLines,
    Redirect,
    Response,
    SendFile,
    Stream,
    Text,
)


class City(Struct):
    id: int
    name: str


class Capital(City):
    secret: str = "s"


class Country(Struct):
    name: str
    capital: City | None = None
    cities: list[City] = []
    index: dict[str, City] = {}


class Node(Struct):
    value: int
    children: list[Node] = []


class Renamed(Struct, rename="camel"):
    first_name: str


@dataclasses.dataclass
class Point:
    x: int


@dataclasses.dataclass
class Point3(Point):
    z: int = 3


@attrs.define
class Thing:
    x: int


class Movie(TypedDict):
    title: str


class Model(pydantic.BaseModel):
    x: int


class Model2(Model):
    y: int = 2


class Plain:
    id = 1
    name = "plain"
    secret = "s"


WHEN = dt.datetime(2024, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
C, K = City(1, "a"), Capital(1, "a")
ERROR = object()

# (declared type, result, what is sent)
RESULTS: list[tuple[Any, Any, Any]] = [
    (..., {"a": 1}, {"a": 1}),
    (..., [1, "a", None], [1, "a", None]),
    (..., "text", "text"),
    (..., 1, 1),
    (..., 1.5, 1.5),
    (..., True, True),
    (..., C, {"id": 1, "name": "a"}),
    (..., {"when": WHEN, "n": Decimal("1.50"), "u": UUID(int=1)},
     {"when": "2024-01-02T03:04:05Z", "n": "1.50", "u": "00000000-0000-0000-0000-000000000001"}),
    (..., {"t": gettext_lazy("yes")}, {"t": "yes"}),
    (..., Model(x=1), {"x": 1}),
    (..., Point(1), {"x": 1}),
    (..., (1, 2), [1, 2]),
    (..., Plain(), ERROR),
    (City, C, {"id": 1, "name": "a"}),
    (City, K, {"id": 1, "name": "a"}),
    (City, Plain(), {"id": 1, "name": "plain"}),
    (City, {"id": 1, "name": "a", "x": 1}, {"id": 1, "name": "a"}),
    (City, {"id": "x", "name": "a"}, ERROR),
    (City, {"id": 1}, ERROR),
    (City, None, ERROR),
    (City, [C], ERROR),
    (City, "x", ERROR),
    (City | None, None, None),
    (City | None, K, {"id": 1, "name": "a"}),
    (list[City], [C, C], [{"id": 1, "name": "a"}] * 2),
    (list[City], [C, K], [{"id": 1, "name": "a"}] * 2),
    (list[City], (C, K), [{"id": 1, "name": "a"}] * 2),
    (list[City], [Plain()], [{"id": 1, "name": "plain"}]),
    (list[City], [], []),
    (list[City], {"a": 1}, ERROR),
    (list[City | None], [None, K], [None, {"id": 1, "name": "a"}]),
    (dict[str, City], {"a": K}, {"a": {"id": 1, "name": "a"}}),
    (Country, Country("x", K),
     {"name": "x", "capital": {"id": 1, "name": "a"}, "cities": [], "index": {}}),
    (Country, Country("x", None, [C, K], {"k": K}),
     {"name": "x", "capital": None, "cities": [{"id": 1, "name": "a"}] * 2,
      "index": {"k": {"id": 1, "name": "a"}}}),
    (Node, Node(1, [Node(2)]), {"value": 1, "children": [{"value": 2, "children": []}]}),
    (Renamed, Renamed("x"), {"firstName": "x"}),
    (Renamed, {"first_name": "x"}, {"firstName": "x"}),
    (Point, Point3(1), {"x": 1}),
    (Thing, Thing(1), {"x": 1}),
    (Thing, Point3(1), {"x": 1}),
    (Movie, {"title": "a", "secret": 1}, {"title": "a"}),
    (Model, Model2(x=1), {"x": 1}),
    (Model, {"x": 1, "y": 1}, {"x": 1}),
    (list[Model], [Point3(1)], [{"x": 1}]),
    (Model, {"x": "a"}, ERROR),
    (int, 1, 1),
    (int, "a", ERROR),
    (str, "a", "a"),
    (str, gettext_lazy("yes"), "yes"),
    (float, 1.5, 1.5),
    (dict[str, Any], {"a": [1]}, {"a": [1]}),
    (dt.datetime, WHEN, "2024-01-02T03:04:05Z"),
    (int | str, "a", "a"),
    (None, {"a": 1}, ERROR),
]  # fmt: skip


def _handler(result: Any, declared: Any, is_async: bool) -> Callable[..., Any]:
    if is_async:

        async def handler() -> Any:
            return result
    else:

        def handler() -> Any:
            return result

    handler.__annotations__ = {} if declared is ... else {"return": declared}
    return handler


@pytest.mark.parametrize("is_async", [True, False])
def test_results(connect: MakeClient, is_async: bool) -> None:
    api = API()
    for index, (declared, result, _) in enumerate(RESULTS):
        api.get(f"/{index}", name=f"n{index}")(_handler(result, declared, is_async))
    client = connect(api)
    for index, (declared, result, expected) in enumerate(RESULTS):
        response = client.get(f"/{index}")
        about = (declared, result, response.content)
        if expected is ERROR:
            assert response.status_code == 500, about
            assert response.headers["content-type"] == "application/problem+json"
        else:
            assert response.status_code == 200, about
            assert response.json() == expected, about
            assert response.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("declared", "status", "expected"),
    [
        (..., None, 204),
        (None, None, 204),
        (..., 201, 201),
        (None, 202, 202),
        (City | None, 204, 204),
    ],
)
def test_none(connect: MakeClient, declared: Any, status: int | None, expected: int) -> None:
    api = API()
    api.get("/", status=status)(_handler(None, declared, is_async=True))
    response = connect(api).get("/")
    assert (response.status_code, response.content) == (expected, b"")
    assert "content-type" not in response.headers


T = TypeVar("T")


class Page(Struct, Generic[T]):
    items: list[T]
    total: int = 0


Cities = NewType("Cities", list[City])


@pytest.mark.parametrize(
    ("declared", "result", "expected"),
    [
        (Page[City], Page([C, K], 2), {"items": [{"id": 1, "name": "a"}] * 2, "total": 2}),
        (Page[City], {"items": [Plain()]}, {"items": [{"id": 1, "name": "plain"}], "total": 0}),
        (Cities, [K], [{"id": 1, "name": "a"}]),
        (Annotated[City, "note"], K, {"id": 1, "name": "a"}),
    ],
)
def test_generic_and_new_types(
    connect: MakeClient, declared: Any, result: Any, expected: Any
) -> None:
    api = API()
    api.get("/")(_handler(result, declared, is_async=True))
    assert connect(api).get("/").json() == expected


def _wrapped(kind: str) -> Any:
    async def coroutine(n: int) -> int:
        return n

    def plain(n: int) -> int:
        return n

    @functools.wraps(coroutine)
    def sync_wrapper(*args: Any, **kwargs: Any) -> Any:
        return coroutine(*args, **kwargs)

    @functools.wraps(plain)
    async def async_wrapper(*args: Any, **kwargs: Any) -> Any:
        return plain(*args, **kwargs)

    wrappers = {
        "sync wrapper of async": sync_wrapper,
        "async wrapper of sync": async_wrapper,
        "sync_to_async": sync_to_async(plain),
        "partial": functools.update_wrapper(functools.partial(plain), plain),
    }
    return wrappers[kind]


@pytest.mark.parametrize(
    "kind",
    ["sync wrapper of async", "async wrapper of sync", "sync_to_async", "partial"],
)
def test_wrapped_handlers(connect: MakeClient, kind: str) -> None:
    api = API()
    api.get("/")(_wrapped(kind))
    assert connect(api).get("/?n=3").json() == 3


def test_status_and_headers_of_a_route(connect: MakeClient) -> None:
    api = API()
    api.get("/", status=203, headers={"Cache-Control": "no-store"})(_handler(C, City, True))
    response = connect(api).get("/")
    assert response.status_code == 203
    assert response.headers["cache-control"] == "no-store"
    assert response.json() == {"id": 1, "name": "a"}


def test_bytes_are_sent_as_they_are(connect: MakeClient) -> None:
    api = API()
    api.get("/a")(_handler(b"\xff", ..., True))
    api.get("/b", name="b")(_handler(b"\xff", bytes, True))
    client = connect(api)
    for path in ("/a", "/b"):
        response = client.get(path)
        assert response.content == b"\xff"
        assert response.headers["content-type"] == "application/octet-stream"


# --- responses --------------------------------------------------------------------------


def _cookie() -> Response:
    response = Text("x")
    response.set_cookie("a", "1", httponly=True)
    response.set_cookie("b", "2")
    return response


def _pieces() -> Iterator[Any]:
    yield b"a"
    yield "é"
    yield {"x": 1}


async def _async_pieces() -> AsyncIterator[Any]:
    for piece in _pieces():
        yield piece


PIECES = 'aé{"x":1}\n'.encode()
RESPONSES: list[tuple[Callable[[], Any], int, dict[str, str], bytes]] = [
    (lambda: JSON({"a": 1}, status=201), 201, {"content-type": "application/json"}, b'{"a":1}'),
    (lambda: HTML("<p>é"), 200, {"content-type": "text/html; charset=utf-8"}, "<p>é".encode()),
    (lambda: Text("é"), 200, {"content-type": "text/plain; charset=utf-8"}, "é".encode()),
    (lambda: Text("x", headers={"X-A": "b"}), 200, {"x-a": "b"}, b"x"),
    (lambda: Text("x", content_type="text/csv"), 200, {"content-type": "text/csv"}, b"x"),
    (lambda: Redirect("/é?a=b"), 302, {"location": "/%C3%A9?a=b"}, b""),
    (lambda: Redirect("/x", permanent=True), 308, {"location": "/x"}, b""),
    (lambda: Redirect("/x", status=303), 303, {"location": "/x"}, b""),
    (lambda: Stream(_pieces()), 200, {"content-type": "application/octet-stream"}, PIECES),
    (lambda: Stream([b"a", b"b"], content_type="x/y"), 200, {"content-type": "x/y"}, b"ab"),
    (lambda: SendFile(io.BytesIO(b"abc"), filename="a.txt"), 200,
     {"content-type": "text/plain", "content-disposition": 'inline; filename="a.txt"'}, b"abc"),
    (_cookie, 200, {"set-cookie": "a=1; HttpOnly; Path=/, b=2; Path=/"}, b"x"),
    (lambda: HttpResponse("d", status=202), 202,
     {"content-type": "text/html; charset=utf-8"}, b"d"),
    (lambda: JsonResponse({"a": 1}), 200, {"content-type": "application/json"}, b'{"a": 1}'),
    (lambda: StreamingHttpResponse([b"a", b"b"]), 200, {}, b"ab"),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume synchronous iterators")
@pytest.mark.parametrize("is_async", [True, False])
@pytest.mark.parametrize(("make", "status", "headers", "content"), RESPONSES)
def test_responses(
    connect: MakeClient,
    make: Callable[[], Any],
    status: int,
    headers: dict[str, str],
    content: bytes,
    is_async: bool,
) -> None:
    api = API()
    api.get("/")(_handler(make(), ..., is_async))
    response = connect(api).get("/")
    assert (response.status_code, response.content) == (status, content)
    for name, value in headers.items():
        assert response.headers[name] == value


def test_an_asynchronous_stream(connect: MakeClient) -> None:
    api = API()

    @api.get("/")
    async def handler() -> Stream:
        return Stream(_async_pieces())

    assert connect(api).get("/").content == PIECES


@pytest.mark.parametrize("backend", live.BACKENDS)
@pytest.mark.parametrize("is_async", [True, False])
def test_a_stream_without_end(backend: str, servers: live.Servers, is_async: bool) -> None:
    api = API()

    @api.get("/")
    def handler() -> Stream:
        return Stream(itertools.repeat("tick "))

    @api.get("/async", name="ahandler")
    async def ahandler() -> Stream:
        async def ticks() -> AsyncIterator[str]:
            while True:
                yield "tick "
                await asyncio.sleep(0)

        return Stream(ticks())

    client = live.Client(api, servers[backend])
    try:
        assert client.peek("/async" if is_async else "/", 10) == b"tick tick "
    finally:
        client.close()


# Django's FileResponse is read so under ASGI.
@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume synchronous iterators")
@pytest.mark.parametrize("is_async", [True, False])
def test_files_from_disk(connect: MakeClient, is_async: bool) -> None:
    with tempfile.NamedTemporaryFile(suffix=".txt") as file:
        file.write(b"x" * 100_000)
        file.flush()
        api = API()
        response = SendFile(file.name, as_attachment=True, filename="é.txt")
        api.get("/")(_handler(response, ..., is_async))
        answer = connect(api).get("/")
    assert answer.content == b"x" * 100_000
    assert answer.headers["content-type"] == "text/plain"
    assert answer.headers["content-disposition"] == "attachment; filename*=utf-8''%C3%A9.txt"
    assert answer.headers["content-length"] == "100000"
    assert "last-modified" in answer.headers
    # The last byte may arrive before the server has closed it.
    wait_for(lambda: response.file.closed)


ASKED: list[tuple[str, dict[str, str], int, bytes, dict[str, str | None]]] = [
    # RFC 9110, 14.2: a Range counts for GET alone.
    ("GET", {"Range": "bytes=2-4"}, 206, b"234",
     {"content-range": "bytes 2-4/10", "content-length": "3", "content-type": "text/plain"}),
    ("GET", {"Range": "bytes=-3"}, 206, b"789", {"content-range": "bytes 7-9/10"}),
    ("GET", {"Range": "bytes=8-99"}, 206, b"89", {"content-range": "bytes 8-9/10"}),
    ("HEAD", {"Range": "bytes=2-4"}, 200, b"", {"content-length": "10", "content-range": None}),
    ("GET", {"Range": "bytes=0-1,3-4"}, 200, b"0123456789", {"content-range": None}),
    ("GET", {"Range": "lines=1"}, 200, b"0123456789", {"accept-ranges": "bytes"}),
    ("GET", {"Range": "bytes=10-"}, 416, b"",
     {"content-range": "bytes */10", "content-type": None}),
    # 13.1.2, 13.1.3, 15.4.5
    ("GET", {"If-None-Match": "TAG"}, 304, b"",
     {"etag": "TAG", "x-own": "1", "content-type": None}),
    ("GET", {"If-None-Match": 'W/"x", TAG'}, 304, b"", {}),
    ("HEAD", {"If-None-Match": "*"}, 304, b"", {}),
    ("GET", {"If-None-Match": '"x"'}, 200, b"0123456789", {"etag": "TAG"}),
    ("GET", {"If-Modified-Since": "TIME"}, 304, b"", {"last-modified": "TIME"}),
    ("GET", {"If-Modified-Since": "Sat, 01 Jan 2000 00:00:00 GMT"}, 200, b"0123456789", {}),
    ("GET", {"If-Modified-Since": "TIME", "If-None-Match": '"x"'}, 200, b"0123456789", {}),
    # 13.1.1, 13.1.4
    ("GET", {"If-Match": '"x"'}, 412, b"", {"content-type": None}),
    ("GET", {"If-Match": "TAG"}, 200, b"0123456789", {}),
    ("GET", {"If-Unmodified-Since": "Sat, 01 Jan 2000 00:00:00 GMT"}, 412, b"", {}),
    # 13.1.5
    ("GET", {"If-Range": "TAG", "Range": "bytes=0-0"}, 206, b"0", {}),
    ("GET", {"If-Range": '"x"', "Range": "bytes=0-0"}, 200, b"0123456789", {}),
    ("POST", {"Range": "bytes=2-4", "If-None-Match": "*"}, 200, b"0123456789", {}),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume synchronous iterators")
@pytest.mark.parametrize("is_async", [True, False])
@pytest.mark.parametrize(("method", "asked", "status", "content", "headers"), ASKED)
def test_a_file_is_negotiated(
    connect: MakeClient,
    tmp_path: Path,
    method: str,
    asked: dict[str, str],
    status: int,
    content: bytes,
    headers: dict[str, str | None],
    is_async: bool,
) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"0123456789")
    os.utime(path, (1_700_000_000, 1_700_000_000))
    sent: list[SendFile] = []

    def handler() -> Any:
        sent.append(SendFile(path, headers={"X-Own": "1"}))
        return sent[-1]

    async def async_handler() -> Any:
        return handler()

    api = API()
    api.route("/", methods=["GET", "POST"])(async_handler if is_async else handler)
    client = connect(api)
    plain = client.get("/")
    known = {"TAG": plain.headers["etag"], "TIME": plain.headers["last-modified"]}

    def fill(text: str) -> str:
        return functools.reduce(lambda text, name: text.replace(name, known[name]), known, text)

    fields = {name: fill(value) for name, value in asked.items()}
    response = client.request(method, "/", headers=fields)
    assert (response.status_code, response.content) == (status, content)
    for name, value in headers.items():
        assert response.headers.get(name) == (fill(value) if value else None)
    wait_for(lambda: all(one.file.closed for one in sent))


@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume synchronous iterators")
def test_a_file_with_a_tag_of_its_own(connect: MakeClient, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"0123456789")
    tags = ['"mine"', '"' + "long" * 20 + '"']
    api = API()

    @api.get("/{index}")
    def handler(index: int) -> SendFile:
        return SendFile(path, headers={"ETag": tags[index]})

    client = connect(api)
    assert client.get("/0", headers={"If-None-Match": tags[0]}).status_code == 304
    # Too long for the server to look at.
    assert client.get("/1", headers={"If-None-Match": tags[1]}).status_code == 200
    assert client.get("/1").headers.get_list("etag") == [tags[1]]


@pytest.mark.parametrize("value", ["a\r\nb", "a\nb", "a\0b", "☃"])
def test_header_values_cannot_split(value: str) -> None:
    with pytest.raises(ValueError, match="invalid value"):
        Text("x", headers={"X-A": value})
    with pytest.raises(ValueError, match="invalid header name"):
        Text("x", headers={"X: A": "x"})


# --- Django's models --------------------------------------------------------------------


class GroupOut(Struct):
    name: str


class UserOut(Struct):
    username: str
    groups: list[GroupOut] = []


@pytest.fixture(scope="module", autouse=True)
def tables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """In a file, which threads share; the database in memory is put aside."""
    name, kept = connection.settings_dict["NAME"], connection.connection
    connection.connection = None
    connection.settings_dict["NAME"] = str(tmp_path_factory.mktemp("api") / "db.sqlite3")
    with connection.schema_editor() as editor:
        for model in (ContentType, Permission, Group, User):
            editor.create_model(model)
    one = User.objects.create(username="a", password="secret")
    User.objects.create(username="b")
    one.groups.add(Group.objects.create(name="g"))
    yield
    connection.close()
    connection.settings_dict["NAME"] = name
    connection.connection = kept


QUERIES: list[tuple[Any, Callable[[], Any], Any]] = [
    (list[UserOut], lambda: User.objects.order_by("id").prefetch_related("groups"),
     [{"username": "a", "groups": [{"name": "g"}]}, {"username": "b", "groups": []}]),
    (list[GroupOut], Group.objects.all, [{"name": "g"}]),
    (list[GroupOut], lambda: Group.objects, [{"name": "g"}]),
    (list[dict[str, Any]], lambda: Group.objects.values("name"), [{"name": "g"}]),
    (..., Group.objects.all, ERROR),
]  # fmt: skip


@pytest.mark.parametrize("is_async", [True, False])
@pytest.mark.parametrize(("declared", "query", "expected"), QUERIES)
def test_querysets(
    connect: MakeClient, declared: Any, query: Any, expected: Any, is_async: bool
) -> None:
    api = API()
    if is_async:

        async def handler() -> Any:
            return query()
    else:

        def handler() -> Any:
            return query()

    handler.__annotations__ = {} if declared is ... else {"return": declared}
    api.get("/")(handler)
    response = connect(api).get("/")
    if expected is ERROR:
        assert response.status_code == 500
    else:
        assert response.json() == expected


@pytest.mark.parametrize("is_async", [True, False])
@pytest.mark.parametrize("by_manager", [True, False])
def test_lines_of_querysets(connect: MakeClient, is_async: bool, by_manager: bool) -> None:
    """Read in pieces, on the loop's behalf where there is one."""
    api = API()

    def query() -> Any:
        return User.objects if by_manager else User.objects.prefetch_related("groups")

    if is_async:

        @api.get("/")
        async def handler() -> JSONLines[UserOut]:
            return JSONLines(query().order_by("id").prefetch_related("groups"))
    else:

        @api.get("/")
        def handler() -> JSONLines[UserOut]:
            return query().order_by("id")

    expected = b'{"username":"a","groups":[{"name":"g"}]}\n{"username":"b","groups":[]}\n'
    assert connect(api).get("/").content == expected


@pytest.mark.parametrize("backend", live.BACKENDS)
@pytest.mark.parametrize("is_async", [True, False])
def test_a_broken_connection_is_replaced(
    backend: str, servers: live.Servers, is_async: bool
) -> None:
    def count(broken: bool) -> int:
        if broken:
            connection.ensure_connection()
            connection.connection.close()
        return Group.objects.count()

    api = API()

    @api.get("/")
    def handler(broken: bool = False) -> int:
        return count(broken)

    @api.get("/async", name="async")
    async def async_handler(broken: bool = False) -> int:
        return await sync_to_async(count)(broken)

    client = live.Client(api, servers[backend], raise_errors=False)
    path = "/async" if is_async else "/"
    try:
        codes = [client.get(f"{path}?broken={n == 1}").status_code for n in range(8)]
    finally:
        client.close()
    assert codes == [200, 500, *[200] * 6]


@pytest.mark.parametrize("backend", live.BACKENDS)
def test_synchronous_code_of_requests_runs_side_by_side(
    backend: str, servers: live.Servers
) -> None:
    both = threading.Barrier(2)
    seen: list[bool] = []

    def meet() -> int:
        both.wait(60)
        return threading.get_ident()

    api = API()

    @api.get("/")
    async def handler() -> None:
        first = await sync_to_async(meet)()
        # All of one request in one thread.
        seen.append(await sync_to_async(threading.get_ident)() == first)

    client = live.Client(api, servers[backend], raise_errors=False)
    try:
        assert client.get_at_once("/", 2) == [204, 204]
    finally:
        client.close()
    assert seen == [True, True]


@pytest.mark.parametrize("is_async", [True, False])
@pytest.mark.parametrize("by_manager", [True, False])
def test_a_queryset_is_run_before_dependencies_are_left(
    connect: MakeClient, is_async: bool, by_manager: bool
) -> None:
    log: list[str] = []

    def dependency() -> Iterator[None]:
        log.append("enter")
        yield
        log.append("leave")

    def query() -> Any:
        return Group.objects if by_manager else Group.objects.all()

    def watch(execute: Callable[..., Any], *args: Any) -> Any:
        log.append("query")
        return execute(*args)

    api = API()
    if is_async:

        @api.get("/", depends=[Depends(dependency)])
        async def handler() -> list[GroupOut]:
            await sync_to_async(install)()
            return query()
    else:

        @api.get("/", depends=[Depends(dependency)])
        def handler() -> list[GroupOut]:
            install()
            return query()

    wrapped: list[Any] = []

    def install() -> None:
        """In the thread, and on the connection, that will run the query."""
        wrapped.append(connections["default"])
        wrapped[-1].execute_wrappers.append(watch)

    try:
        assert connect(api).get("/").json() == [{"name": "g"}]
    finally:
        for one in wrapped:
            one.execute_wrappers.remove(watch)
    assert log == ["enter", "query", "leave"]


def test_a_model_instance(connect: MakeClient) -> None:
    api = API()

    @api.get("/{name}")
    def handler(name: str) -> UserOut:
        return User.objects.get(username=name)  # type: ignore[return-value]

    assert connect(api).get("/a").json() == {"username": "a", "groups": [{"name": "g"}]}
