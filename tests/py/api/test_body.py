"""Bodies: JSON, forms, files, bytes; what is wrong with them, and how it is said."""

from __future__ import annotations

import dataclasses
import datetime as dt
import io
from decimal import Decimal
from typing import Annotated, Any, NotRequired, TypedDict

import attrs
import msgspec
import pydantic
import pytest
from django.core.files.uploadedfile import UploadedFile
from live import MakeClient
from msgspec import Meta, Struct

from quintette import API, BigInt, Body, File, Form


class Address(Struct):
    city: str
    zip: Annotated[str, Meta(pattern="^[0-9]{5}$")] = "00000"


class Person(Struct):
    name: Annotated[str, Meta(min_length=1)]
    age: int
    addresses: list[Address] = []
    born: dt.date | None = None
    pets: dict[str, int] = {}


class Closed(Struct, forbid_unknown_fields=True, rename="camel"):
    first_name: str
    inner: Address | None = None


class Circle(Struct, tag="circle"):
    radius: float


class Square(Struct, tag="square"):
    side: float


class Wide(Struct):
    amount: Decimal


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0


@attrs.define
class Thing:
    x: int
    y: int = 0


class Movie(TypedDict):
    title: str
    year: NotRequired[int]


class Model(pydantic.BaseModel):
    x: int
    y: int = 0


BODIES: list[tuple[Any, Any, Any]] = [
    (Person, {"name": "a", "age": 1}, Person("a", 1)),
    (Person, {"name": "a", "age": 1, "x": 1}, Person("a", 1)),
    (
        Person,
        {"name": "a", "age": 1, "addresses": [{"city": "x"}], "born": "2020-01-02"},
        Person("a", 1, [Address("x")], dt.date(2020, 1, 2)),
    ),
    (Person, {"name": "", "age": "x"}, [(["name"], "min_length"), (["age"], "type")]),
    (Person, {}, [(["name"], "missing"), (["age"], "missing")]),
    (Person, [], [([], "type")]),
    (Person, None, [([], "type")]),
    (
        Person,
        {"name": "a", "age": 1.5, "addresses": [{}, {"city": 1, "zip": "x"}], "pets": {"a": "b"}},
        [
            (["age"], "type"),
            (["addresses", 0, "city"], "missing"),
            (["addresses", 1, "city"], "type"),
            (["addresses", 1, "zip"], "pattern"),
            (["pets", "a"], "type"),
        ],
    ),
    (Person, {"name": "a", "age": 1, "born": "x"}, [(["born"], "value")]),
    (Closed, {"firstName": "a"}, Closed("a")),
    (
        Closed,
        {"first_name": "a", "inner": {"city": 3}},
        [(["firstName"], "missing"), (["inner", "city"], "type"), (["first_name"], "unknown")],
    ),
    (Circle | Square, {"type": "square", "side": 2}, Square(2.0)),
    (Circle | Square, {"type": "square", "side": "x"}, [(["side"], "type")]),
    (Circle | Square, {"type": "line"}, [(["type"], "enum")]),
    (list[Address], [{"city": "a"}], [Address("a")]),
    (list[Address], [{"city": "a"}, {}, 3], [([1, "city"], "missing"), ([2], "type")]),
    (dict[str, int], {"a": 1}, {"a": 1}),
    (dict[str, int], {"a": 1, "b": "x"}, [(["b"], "type")]),
    (Point, {"x": 1}, Point(1)),
    (Point, {"y": "a"}, [(["x"], "missing"), (["y"], "type")]),
    (Thing, {"x": 1}, Thing(1)),
    (Thing, {"y": "a"}, [(["x"], "missing"), (["y"], "type")]),
    (Movie, {"title": "a"}, {"title": "a"}),
    (Movie, {"year": "a"}, [(["title"], "missing"), (["year"], "type")]),
    (Model, {"x": 1}, Model(x=1)),
    (Model, {"y": "a"}, [(["x"], "missing"), (["y"], "int_parsing")]),
    (Annotated[int, Body()], 5, 5),
    (Annotated[list[int], Body()], [1, "a", "b"], [([1], "type"), ([2], "type")]),
    (Annotated[Any, Body()], {"a": [1]}, {"a": [1]}),
]


def _echo(annotation: Any) -> Any:
    def handler(value: Any) -> str:
        return repr(value)

    handler.__annotations__ = {"value": annotation, "return": str}
    return handler


def _faults(response: Any) -> list[tuple[list[Any], str]]:
    assert all(error["in"] == "body" for error in response.json()["errors"])
    return [(error["loc"], error["type"]) for error in response.json()["errors"]]


@pytest.mark.parametrize(("annotation", "sent", "expected"), BODIES)
def test_json(connect: MakeClient, annotation: Any, sent: Any, expected: Any) -> None:
    api = API()
    api.post("/")(_echo(annotation))
    content = msgspec.json.encode(sent)
    response = connect(api).post("/", content=content, headers={"Content-Type": "application/json"})
    is_faults = isinstance(expected, list) and isinstance(expected[0], tuple)
    if is_faults:
        assert response.status_code == 422
        assert _faults(response) == expected
    else:
        assert (response.status_code, response.json()) == (200, repr(expected))


@pytest.mark.parametrize(
    ("annotation", "content", "status", "code"),
    [
        (Person, b"", 422, "missing"),
        (Person, b"{", 400, "json"),
        (Person, b'{"name": "a", "age": 1,}', 400, "json"),
        (Person, b'{"name": "a", "age": 1} x', 400, "json"),
        (Person, b"{'name': 1}", 400, "json"),
        (Person, b"nul", 400, "json"),
        (Person, b'{"name": "\xff", "age": 1}', 400, "encoding"),
        (Person, b'{"name": "a", "age": 1, "other": "\xff"}', 400, "encoding"),
        (Person, '{"name": "é", "age": 1}'.encode("utf-16"), 400, "encoding"),
        (Annotated[Any, Body()], b"[" * 128 + b"]" * 128, 200, ""),
        (Annotated[Any, Body()], b"[" * 129 + b"]" * 129, 422, "depth"),
        (dict[str, int], b"{" + b'"a":1,' * 99_999 + b'"a":1}', 200, ""),
        (dict[str, int], b"{" + b'"a":1,' * 100_000 + b'"a":1}', 422, "keys"),
        (Annotated[int, Body()], b"9223372036854775807", 200, ""),
        (Annotated[int, Body()], b"18446744073709551616", 422, "big_int"),
        (Annotated[BigInt, Body()], b"18446744073709551616", 200, ""),
        (Wide, b'{"amount": 18446744073709551616}', 200, ""),
    ],
)
def test_what_no_decoder_would_say(
    connect: MakeClient, annotation: Any, content: bytes, status: int, code: str
) -> None:
    api = API()
    api.post("/")(_echo(annotation))
    response = connect(api).post("/", content=content, headers={"Content-Type": "application/json"})
    assert response.status_code == status, response.content
    if code:
        assert [error["type"] for error in response.json()["errors"]] == [code]


def test_malformed_json_says_where(connect: MakeClient) -> None:
    api = API()
    api.post("/")(_echo(Person))
    response = connect(api).post(
        "/", content=b'{"name": x}', headers={"Content-Type": "application/json"}
    )
    assert "(byte 9)" in response.json()["detail"]


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 200),
        ("Application/JSON", 200),
        ("application/json; charset=utf-8", 200),
        ("application/vnd.api+json", 200),
        ("application/+json", 415),
        ("text/json", 415),
        ("text/plain", 415),  # would be sent across origins without asking
        ("application/x-www-form-urlencoded", 415),
        ("", 415),
    ],
)
def test_media_types(connect: MakeClient, content_type: str, status: int) -> None:
    api = API()
    api.post("/")(_echo(Person))
    headers = {"Content-Type": content_type} if content_type else {}
    response = connect(api).post("/", content=b'{"name": "a", "age": 1}', headers=headers)
    assert response.status_code == status


def test_at_most_a_hundred_faults(connect: MakeClient) -> None:
    api = API()
    api.post("/")(_echo(Annotated[list[int], Body()]))
    response = connect(api).post("/", json=["x"] * 500)
    assert len(response.json()["errors"]) == 100


def test_faults_of_body_and_query_together(connect: MakeClient) -> None:
    api = API()

    @api.post("/")
    def handler(limit: int, body: Point) -> None: ...

    response = connect(api).post("/?limit=x", json={})
    assert [(e["in"], e["loc"]) for e in response.json()["errors"]] == [
        ("query", ["limit"]),
        ("body", ["x"]),
    ]


def test_a_body_that_may_be_missing(connect: MakeClient) -> None:
    api = API()

    @api.post("/")
    def handler(body: Point | None = None) -> str:
        return repr(body)

    client = connect(api)
    assert client.post("/").json() == "None"
    assert client.post("/", json=None, content=b"null", headers=JSON).json() == "None"
    assert client.post("/", json={"x": 1}).json() == repr(Point(1))


JSON = {"Content-Type": "application/json"}


def test_several_bodies_are_members_of_one(connect: MakeClient) -> None:
    api = API()

    @api.post("/")
    def handler(a: Point, b: Address, c: Annotated[int, Body(alias="n")] = 3) -> str:
        return repr((a, b, c))

    client = connect(api)
    sent = {"a": {"x": 1}, "b": {"city": "x"}}
    assert client.post("/", json=sent).json() == repr((Point(1), Address("x"), 3))
    assert client.post("/", json={**sent, "n": 4}).json() == repr((Point(1), Address("x"), 4))
    response = client.post("/", json={"a": {}, "n": "x"})
    assert _faults(response) == [(["a", "x"], "missing"), (["b"], "missing"), (["n"], "type")]
    assert _faults(client.post("/")) == [(["a"], "missing"), (["b"], "missing")]


def test_embed(connect: MakeClient) -> None:
    api = API()

    @api.post("/")
    def handler(a: Annotated[Point, Body(embed=True)]) -> str:
        return repr(a)

    assert connect(api).post("/", json={"a": {"x": 1}}).json() == repr(Point(1))


def test_bytes_and_text(connect: MakeClient) -> None:
    api = API()

    @api.post("/bytes")
    def as_bytes(body: Annotated[bytes, Body()]) -> str:
        return repr(body)

    @api.post("/text")
    def as_text(body: Annotated[str, Body()]) -> str:
        return body

    client = connect(api)
    headers = {"Content-Type": "text/plain"}
    assert client.post("/bytes", content=b"\xff\x00", headers=headers).json() == repr(b"\xff\x00")
    assert client.post("/text", content="é".encode(), headers=headers).json() == "é"
    assert client.post("/text", content=b"\xff", headers=headers).status_code == 422
    assert client.post("/bytes").json() == repr(b"")


def test_a_raw_member_outlives_the_request(connect: MakeClient) -> None:
    class Holder(Struct):
        raw: msgspec.Raw

    kept: list[Holder] = []
    api = API()

    def handler(body: Any) -> None:
        kept.append(body)

    handler.__annotations__ = {"body": Holder, "return": None}
    api.post("/")(handler)
    client = connect(api)
    for number in range(3):
        client.post("/", json={"raw": [number] * 50})
    assert [msgspec.json.decode(one.raw) for one in kept] == [[n] * 50 for n in range(3)]


def test_body_max(connect: MakeClient) -> None:
    api = API()

    @api.post("/", body_max=10)
    def handler(body: Annotated[bytes, Body()]) -> int:
        return len(body)

    client = connect(api)
    headers = {"Content-Type": "text/plain"}
    assert client.post("/", content=b"x" * 10, headers=headers).json() == 10
    response = client.post("/", content=b"x" * 11, headers=headers)
    assert response.status_code == 413
    assert response.headers["content-type"] == "application/problem+json"


def test_a_body_on_disk(connect: MakeClient) -> None:
    api = API()

    @api.post("/")
    def handler(body: Annotated[list[str], Body()]) -> int:
        return sum(map(len, body))

    client = connect(api)
    assert client.post("/", json=["x" * 1_000_000] * 3).json() == 3_000_000
    response = client.post("/", json=["x" * 1_000_000] * 3 + [1, 2])
    assert _faults(response) == [([3], "type"), ([4], "type")]


# --- forms ------------------------------------------------------------------------------


class Login(Struct):
    user: str
    remember: bool = False
    roles: list[str] = []


def _forms() -> API:
    api = API()

    @api.post("/plain")
    def plain(
        a: Annotated[str, Form()],
        b: Annotated[int | None, Form()] = None,
        c: Annotated[list[int], Form()] = [],  # noqa: B006
    ) -> str:
        return repr((a, b, c))

    @api.post("/group")
    def group(login: Annotated[Login, Form()]) -> str:
        return repr(login)

    return api


@pytest.mark.parametrize("multipart", [False, True])
@pytest.mark.parametrize(
    ("path", "data", "expected"),
    [
        ("/plain", {"a": "x&é+", "b": "2", "c": ["1", "2"]}, ("x&é+", 2, [1, 2])),
        ("/plain", {"a": "", "b": ""}, ("", None, [])),  # a browser sends empty fields
        ("/plain", {"b": "x"}, [("form", ["b"], "type"), ("form", ["a"], "missing")]),
        ("/group", {"user": "x", "remember": "on", "roles": ["a"]}, Login("x", True, ["a"])),
        (
            "/group",
            {"remember": "x"},
            [("form", ["user"], "missing"), ("form", ["remember"], "type")],
        ),
    ],
)
def test_forms(
    connect: MakeClient, path: str, data: dict[str, Any], expected: Any, multipart: bool
) -> None:
    files = {"unwanted": b"x"} if multipart else None
    response = connect(_forms()).post(path, data=data, files=files)
    if isinstance(expected, list):
        errors = response.json()["errors"]
        assert [(e["in"], e["loc"], e["type"]) for e in errors] == expected
    else:
        assert response.json() == repr(expected)


def test_a_form_of_another_type(connect: MakeClient) -> None:
    client = connect(_forms())
    assert client.post("/plain", json={"a": "x"}).status_code == 415
    assert client.post("/plain").status_code == 422
    headers = {"Content-Type": "multipart/form-data"}
    assert client.post("/plain", content=b"x", headers=headers).status_code == 400
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    assert client.post("/plain", content=b"x", headers=headers).status_code == 400
    data = "&".join(f"a={n}" for n in range(1001)).encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert client.post("/plain", content=data, headers=headers).status_code == 413


def _uploads() -> API:
    api = API()

    @api.post("/one")
    def one(upload: UploadedFile) -> list[Any]:
        return [upload.name, upload.content_type, upload.size, upload.read().decode()]

    @api.post("/many")
    def many(uploads: list[UploadedFile], note: Annotated[str, Form()] = "") -> list[Any]:
        return [note, *(upload.name for upload in uploads)]

    @api.post("/bytes")
    def content(upload: Annotated[bytes, File()], more: UploadedFile | None = None) -> list[Any]:
        return [len(upload), more is None]

    @api.post("/kind", body_max=20_000_000)
    def kind(upload: UploadedFile) -> list[Any]:
        return [type(upload).__name__, upload.size, len(upload.read())]

    return api


@pytest.mark.parametrize(
    ("path", "files", "expected"),
    [
        (
            "/one",
            {"upload": ("a.txt", b"hello", "text/plain")},
            ["a.txt", "text/plain", 5, "hello"],
        ),
        ("/one", {"upload": ("../../a.txt", b"", "x/y")}, ["a.txt", "x/y", 0, ""]),
        ("/one", {"upload": ("c:\\x\\é.txt", b"")}, ["é.txt", "application/octet-stream", 0, ""]),
        ("/many", {"uploads": [("a", b"1"), ("b", b"2")]}, ["n", "a", "b"]),
        ("/bytes", {"upload": b"12345"}, [5, True]),
        ("/bytes", {"upload": b"1", "more": b""}, [1, False]),
        ("/kind", {"upload": b"x" * 1000}, ["InMemoryUploadedFile", 1000, 1000]),
        ("/kind", {"upload": b"x" * 2_700_000}, ["TemporaryUploadedFile", 2_700_000, 2_700_000]),
    ],
)
def test_files(connect: MakeClient, path: str, files: Any, expected: Any) -> None:
    response = connect(_uploads()).post(path, data={"note": "n"}, files=files)
    assert response.json() == expected


def test_files_that_are_missing(connect: MakeClient) -> None:
    client = connect(_uploads())
    response = client.post("/one", files={"other": b"x"})
    assert [(e["in"], e["loc"], e["type"]) for e in response.json()["errors"]] == [
        ("file", ["upload"], "missing")
    ]
    # A browser sends an empty file name where nothing was chosen.
    assert client.post("/one", files={"upload": ("", b"")}).status_code == 422
    assert client.post("/one", data={"upload": "x"}).status_code == 415
    assert client.post("/one", files={"upload": ("x", io.BytesIO(b"a"))}).status_code == 200
