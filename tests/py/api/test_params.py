"""Every source of a parameter, every type, every fault."""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from live import MakeClient
from msgspec import Meta, Struct

from quintette import API, BigInt, Cookie, Form, Header, Path, Query


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Size(enum.IntEnum):
    S = 1
    L = 2


def echo(annotation: Any, default: Any = ...) -> Callable[..., Any]:
    """A handler that tells what it got."""
    if default is ...:

        def handler(value: Any) -> str:
            return repr(value)
    else:

        def handler(value: Any = default) -> str:
            return repr(value)

    handler.__annotations__ = {"value": annotation, "return": str}
    return handler


U = "0b0e4ab4-1f6c-4d0b-9e6f-2b8d3c1c9c57"

# (type, text, value) or (type, text, code of the fault).
TEXTS: list[tuple[Any, str, Any]] = [
    (str, "a", "a"),
    (str, "", ""),
    (str, "a b+c&d=é☃", "a b+c&d=é☃"),
    (int, "0", 0),
    (int, "-17", -17),
    (int, "+17", 17),
    (int, "007", 7),
    (int, "9223372036854775807", 2**63 - 1),
    (int, "-9223372036854775808", -(2**63)),
    (int, "9223372036854775808", "big_int"),
    (int, "99999999999999999999999", "big_int"),
    (int, "1.0", "type"),
    (int, "1_000", "type"),
    (int, " 1", "type"),
    (int, "x", "type"),
    (int, "-", "type"),
    (int, "\N{ARABIC-INDIC DIGIT ONE}", "type"),
    (BigInt, "99999999999999999999999", 99999999999999999999999),
    (float, "1.5", 1.5),
    (float, "-1e3", -1000.0),
    (float, "7", 7.0),
    (float, "nan", "type"),
    (float, "inf", "type"),
    (float, "1e999", "type"),
    (float, "0x1p3", "type"),
    (float, "1,5", "type"),
    (bool, "true", True),
    (bool, "TRUE", True),
    (bool, "1", True),
    (bool, "on", True),
    (bool, "false", False),
    (bool, "0", False),
    (bool, "Off", False),
    (bool, "yes", "type"),
    (bool, "2", "type"),
    (Decimal, "1.50", Decimal("1.50")),
    (Decimal, "x", "value"),
    (Decimal, "NaN", "type"),
    (UUID, U, UUID(U)),
    (UUID, "x", "value"),
    (dt.date, "2024-02-29", dt.date(2024, 2, 29)),
    (dt.date, "2023-02-29", "value"),
    (dt.datetime, "2024-01-02T03:04:05Z", dt.datetime(2024, 1, 2, 3, 4, 5, tzinfo=dt.UTC)),
    (dt.datetime, "2024-01-02T03:04", dt.datetime(2024, 1, 2, 3, 4)),  # noqa: DTZ001
    (dt.datetime, "now", "value"),
    (dt.time, "10:30", dt.time(10, 30)),
    (dt.time, "25:00", "value"),
    (dt.timedelta, "PT90S", dt.timedelta(seconds=90)),
    (dt.timedelta, "soon", "value"),
    (Colour, "red", Colour.RED),
    (Colour, "green", "enum"),
    (Size, "2", Size.L),
    (Size, "3", "enum"),
    (Literal["a", "b"], "b", "b"),
    (Literal["a", "b"], "c", "enum"),
    (Literal[1, 2], "2", 2),
    (int | str, "12", 12),
    (int | str, "x", "x"),
    (str | int, "12", "12"),
    (int | bool, "x", "type"),
    (int | None, "3", 3),
    (int | None, "x", "type"),
    (Any, "x", "x"),
    (Annotated[int, Meta(ge=1, le=3)], "1", 1),
    (Annotated[int, Meta(ge=1, le=3)], "3", 3),
    (Annotated[int, Meta(ge=1, le=3)], "0", "ge"),
    (Annotated[int, Meta(ge=1, le=3)], "4", "le"),
    (Annotated[int, Meta(gt=1, lt=3)], "2", 2),
    (Annotated[int, Meta(gt=1, lt=3)], "1", "ge"),
    (Annotated[int, Meta(gt=1, lt=3)], "3", "le"),
    (Annotated[int, Meta(multiple_of=5)], "10", 10),
    (Annotated[int, Meta(multiple_of=5)], "11", "multiple_of"),
    (Annotated[int, Meta(ge=1)] | None, "0", "ge"),
    (Annotated[float, Meta(gt=0, le=1)], "1", 1.0),
    (Annotated[float, Meta(gt=0, le=1)], "0", "gt"),
    (Annotated[float, Meta(gt=0, le=1)], "1.01", "le"),
    (Annotated[float, Meta(ge=0, lt=1)], "0", 0.0),
    (Annotated[float, Meta(ge=0, lt=1)], "1", "lt"),
    (Annotated[str, Meta(min_length=2, max_length=3)], "éé", "éé"),
    (Annotated[str, Meta(min_length=2, max_length=3)], "é", "min_length"),
    (Annotated[str, Meta(min_length=2, max_length=3)], "abcd", "max_length"),
    (Annotated[str, Meta(pattern="^[a-z]+$")], "abc", "abc"),
    (Annotated[str, Meta(pattern="^[a-z]+$")], "ABC", "pattern"),
]
CODES = {
    "type", "value", "enum", "big_int", "ge", "gt", "le", "lt", "multiple_of", "min_length",
    "max_length", "pattern",
}  # fmt: skip
SOURCES = {"query": Query, "cookie": Cookie, "header": Header, "form": Form}


def _is_fault(expected: Any) -> bool:
    return isinstance(expected, str) and expected in CODES


def _api_of(source: str) -> API:
    api = API()
    for index, (annotation, _, _) in enumerate(TEXTS):
        api.route(f"/{index}", methods=["POST"], name=f"n{index}")(
            echo(Annotated[annotation, SOURCES[source]()])
        )
    return api


def _sent(source: str, text: str) -> dict[str, Any]:
    if source == "query":
        return {"params": {"value": text}}
    if source == "form":
        return {"data": {"value": text}}
    if source == "cookie":
        return {"cookies": {"value": text}}
    return {"headers": {"Value": text}}


@pytest.mark.parametrize("source", SOURCES)
def test_texts(connect: MakeClient, source: str) -> None:
    client = connect(_api_of(source))
    for index, (annotation, text, expected) in enumerate(TEXTS):
        if source in ("cookie", "header") and (not text.isascii() or " " in text):
            continue
        if source == "form" and text == "":
            continue
        response = client.post(f"/{index}", **_sent(source, text))
        about = (source, annotation, text, response.content)
        if _is_fault(expected):
            assert response.status_code == 422, about
            [error] = response.json()["errors"]
            assert error["type"] == expected, about
            assert error["in"] == source, about
            assert error["loc"] == (["value"]), about
            assert error["msg"], about
        else:
            assert response.status_code == 200, about
            assert response.json() == repr(expected), about


PATHS: list[tuple[str, Any, str, Any]] = [
    ("/a/{value}", str, "/a/x", "x"),
    ("/a/{value}", str, "/a/a%20b%C3%A9", "a bé"),
    ("/a/{value}", str, "/a/", 404),
    ("/a/{value}", str, "/a/x/y", 404),
    ("/a/{value}", int, "/a/12", 12),
    ("/a/{value}", int, "/a/x", 404),
    ("/a/{value}", int, "/a/-1", 404),
    ("/a/{value:int}", int, "/a/12", 12),
    ("/a/<int:value>", int, "/a/12", 12),
    ("/a/<value>", str, "/a/12", "12"),
    ("/a/{value}", UUID, f"/a/{U}", UUID(U)),
    ("/a/{value}", UUID, "/a/x", 404),
    ("/a/{value:slug}", str, "/a/a-b_1", "a-b_1"),
    ("/a/{value:slug}", str, "/a/a.b", 404),
    ("/a/{value:path}", str, "/a/b/c/d", "b/c/d"),
    ("/a/{value}.json", str, "/a/x.json", "x"),
    ("/a/v{value:int}/b", int, "/a/v3/b", 3),
    ("/a/{value:str}", float, "/a/1.5", 1.5),
    ("/a/{value:str}", float, "/a/x", "type"),
    ("/a/{value}", Colour, "/a/red", Colour.RED),
    ("/a/{value}", Colour, "/a/green", "enum"),
    ("/a/{value}", Annotated[int, Path(ge=5)], "/a/5", 5),
    ("/a/{value}", Annotated[int, Path(ge=5)], "/a/4", "ge"),
    ("/a/{value}", Annotated[int, Meta(le=5)], "/a/6", "le"),
    ("/a/{value}", Literal["x", "y"], "/a/x", "x"),
    ("/a/{value}", dt.date, "/a/2024-02-29", dt.date(2024, 2, 29)),
    ("/a/{value}/", str, "/a/x/", "x"),
    ("/a/{v}", Annotated[str, Path(alias="v")], "/a/x", "x"),
]


@pytest.mark.parametrize(("pattern", "annotation", "path", "expected"), PATHS)
def test_paths(
    connect: MakeClient, pattern: str, annotation: Any, path: str, expected: Any
) -> None:
    api = API()
    api.get(pattern)(echo(annotation))
    response = connect(api).get(path)
    if expected == 404:
        assert response.status_code == 404
    elif _is_fault(expected):
        assert response.status_code == 422
        assert response.json()["errors"][0]["type"] == expected
        assert response.json()["errors"][0]["in"] == "path"
    else:
        assert (response.status_code, response.content) == (
            200,
            f'"{expected!r}"'.encode() if '"' not in repr(expected) else response.content,
        )


def test_an_escaped_slash_is_no_part_of_one_segment(connect: MakeClient) -> None:
    api = API()
    api.get("/a/{value}")(echo(str))
    assert connect(api).get("/a/x%2Fy").status_code == 404


# (type, query string, value or code)
LISTS: list[tuple[Any, Any, str, Any]] = [
    (list[int], ..., "value=1&value=2", [1, 2]),
    (list[int], ..., "", "missing"),
    (list[int], [], "", []),
    (list[int], ..., "value=1&value=x", ("type", ["value", 1])),
    (list[str], ..., "value=a", ["a"]),
    (set[int], ..., "value=1&value=1", {1}),
    (tuple[int, ...], ..., "value=1&value=2", (1, 2)),
    (frozenset[str], ..., "value=a", frozenset({"a"})),
    (list[int] | None, None, "", None),
    (list[Colour], ..., "value=red&value=blue", [Colour.RED, Colour.BLUE]),
    (list[bool], ..., "value=on&value=0", [True, False]),
    (Annotated[list[int], Meta(max_length=1)], ..., "value=1&value=2", ("max_length", ["value"])),
    (list[Annotated[int, Meta(ge=2)]], ..., "value=2&value=1", ("ge", ["value", 1])),
]


@pytest.mark.parametrize(("annotation", "default", "query", "expected"), LISTS)
def test_lists(
    connect: MakeClient, annotation: Any, default: Any, query: str, expected: Any
) -> None:
    api = API()
    api.get("/")(echo(annotation, default))
    response = connect(api).get("/?" + query)
    if isinstance(expected, tuple) and isinstance(expected[1], list):
        error = response.json()["errors"][0]
        assert (error["type"], error["loc"]) == expected
    elif expected == "missing":
        assert response.json()["errors"][0]["type"] == "missing"
    else:
        assert response.json() == repr(expected)


def test_a_mutable_default_is_not_shared(connect: MakeClient) -> None:
    api = API()

    @api.get("/")
    def handler(value: list[int] = []) -> list[int]:  # noqa: B006
        value.append(1)
        return value

    client = connect(api)
    assert client.get("/").json() == [1]
    assert client.get("/").json() == [1]


QUERIES: list[tuple[str, Any]] = [
    ("value=1", "1"),
    ("value=1&value=2", "2"),  # the last one, as QueryDict
    ("other=1&value=x", "x"),
    ("value", ""),
    ("v%61lue=x", "x"),
    ("value=a+b%2Bc", "a b+c"),
    ("value=%", "%"),
    ("value=%zz", "%zz"),
    ("&&value=x&", "x"),
    ("VALUE=x", "missing"),
    ("", "missing"),
    ("value=%FF", "encoding"),
    ("&".join(["a=1"] * 1001), "too_many"),
]


@pytest.mark.parametrize(("query", "expected"), QUERIES)
def test_query_strings(connect: MakeClient, query: str, expected: str) -> None:
    api = API()
    api.get("/")(echo(str))
    response = connect(api).get("/", params=query)
    if expected in ("missing", "encoding", "too_many"):
        assert expected in [error["type"] for error in response.json()["errors"]]
        assert response.status_code == 422
    else:
        assert response.json() == repr(expected)


def test_every_fault_is_listed(connect: MakeClient) -> None:
    api = API()

    @api.get("/{a:str}")
    def handler(
        a: int,
        b: int,
        c: Annotated[int, Query(ge=1)],
        d: Annotated[str, Header()],
        e: Annotated[int, Cookie()],
    ) -> None: ...

    response = connect(api).get("/x?c=0", cookies={"e": "z"})
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert [(e["in"], e["loc"], e["type"]) for e in response.json()["errors"]] == [
        ("path", ["a"], "type"),
        ("query", ["c"], "ge"),
        ("cookie", ["e"], "type"),
        ("query", ["b"], "missing"),
        ("header", ["d"], "missing"),
    ]


def test_headers(connect: MakeClient) -> None:
    api = API()

    @api.get("/")
    def handler(
        user_agent: Annotated[str, Header()],
        trace: Annotated[str, Header(alias="X-Trace-Id")] = "none",
        accept: Annotated[list[str], Header()] = [],  # noqa: B006
    ) -> list[Any]:
        return [user_agent, trace, accept]

    client = connect(api)
    fields = [("User-Agent", "x"), ("x-trace-ID", "t"), ("Accept", "a, b"), ("Accept", "c")]
    assert client.get("/", headers=fields).json() == ["x", "t", ["a", "b", "c"]]
    assert client.get("/", headers={"User-Agent": "x"}).json() == ["x", "none", []]
    assert client.get("/").status_code == 422


class Filters(Struct):
    country: str | None = None
    limit: Annotated[int, Meta(ge=1, le=100)] = 20
    tags: list[str] = []


class Strict(Struct, forbid_unknown_fields=True):
    a: int
    b: bool = False


@pytest.mark.parametrize(
    ("annotation", "query", "expected"),
    [
        (Filters, "", Filters()),
        (Filters, "limit=5&tags=a&tags=b&x=1", Filters(limit=5, tags=["a", "b"])),
        (Filters, "limit=0&tags=a", [(["limit"], "ge")]),
        (Strict, "a=1&b=on", Strict(1, True)),
        (Strict, "b=x&c=1", [(["a"], "missing"), (["b"], "type"), (["c"], "unknown")]),
    ],
)
def test_groups(connect: MakeClient, annotation: Any, query: str, expected: Any) -> None:
    api = API()
    api.get("/")(echo(Annotated[annotation, Query()]))
    response = connect(api).get("/", params=query)
    if isinstance(expected, list):
        assert [(e["loc"], e["type"]) for e in response.json()["errors"]] == expected
    else:
        assert response.json() == repr(expected)


class Tracing(Struct):
    x_trace_id: str
    x_hops: int = 0


def test_a_group_of_headers(connect: MakeClient) -> None:
    api = API()
    api.get("/")(echo(Annotated[Tracing, Header()]))
    client = connect(api)
    response = client.get("/", headers={"X-Trace-Id": "t", "X-Hops": "3"})
    assert response.json() == repr(Tracing("t", 3))
    response = client.get("/", headers={"X-Hops": "z"})
    assert [(e["loc"], e["type"]) for e in response.json()["errors"]] == [
        (["x-trace-id"], "missing"),
        (["x-hops"], "type"),
    ]


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("value=1", "1"),
        ("a=b; value=1; c=d", "1"),
        ("value=1; value=2", "2"),
        ('value="a\\054b"', "a,b"),
        ("value=a=b", "a=b"),
        ("other=1", None),
    ],
)
def test_cookies(connect: MakeClient, field: str, expected: str | None) -> None:
    api = API()
    api.get("/")(echo(Annotated[str | None, Cookie()], None))
    assert connect(api).get("/", headers={"Cookie": field}).json() == repr(expected)


def test_keyword_only_parameters(connect: MakeClient) -> None:
    api = API()

    @api.get("/{a}")
    def handler(a: str, *, c: int = 3, b: int) -> list[Any]:
        return [a, b, c]

    assert connect(api).get("/x?b=2").json() == ["x", 2, 3]


@pytest.mark.parametrize("is_async", [True, False])
def test_the_request(connect: MakeClient, is_async: bool) -> None:
    api = API()
    if is_async:

        @api.get("/x")
        async def handler(request: Any) -> list[Any]:
            return [request.method, request.path, request.GET["a"]]
    else:

        @api.get("/x")
        def handler(request) -> list[Any]:  # type: ignore[no-untyped-def]
            return [request.method, request.path, request.GET["a"]]

    assert connect(api).get("/x?a=1").json() == ["GET", "/x", "1"]
