"""The same bytes through Django's WSGIRequest, its ASGIRequest and ours: equal attributes."""

from __future__ import annotations

import copy
from collections.abc import Callable
from io import BytesIO
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest
from django.core.exceptions import RequestDataTooBig
from django.core.handlers.asgi import ASGIRequest
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest, HttpResponse
from django.http.request import RawPostDataException
from django.test import override_settings
from live_server import LiveServer

from quintette.http.request import Request

CRLF = b"\r\n"


def raw(line: str, *fields: str, body: bytes = b"") -> bytes:
    if body and not any(field.lower().startswith("transfer-encoding") for field in fields):
        fields = (*fields, f"Content-Length: {len(body)}")
    head = [line, "Host: example.com", *fields]
    return CRLF.join(part.encode("latin-1") for part in head) + CRLF * 2 + body


MULTIPART = (
    b'--X\r\nContent-Disposition: form-data; name="title"\r\n\r\nM\xc3\xbcnchen\r\n'
    b'--X\r\nContent-Disposition: form-data; name="f"; filename="a b.txt"\r\n'
    b"Content-Type: text/plain; charset=utf-8\r\n\r\nline 1\r\nline 2\r\n--X--\r\n"
)
FORM = "Content-Type: application/x-www-form-urlencoded"

REQUESTS = {
    "plain": raw("GET / HTTP/1.1"),
    "query": raw("GET /a/b/?x=1&x=2&y=%C3%A9&empty=&plus=a+b HTTP/1.1"),
    "query without values": raw("GET /?a&b&&c= HTTP/1.1"),
    "query in latin-1": raw("GET /?q=%E9 HTTP/1.1"),
    "encoded path": raw("GET /caf%C3%A9/a%2Fb%20c/ HTTP/1.1"),
    "path that is no UTF-8 (repercent_broken_unicode)": raw("GET /%E9/%C3%A9/%FF HTTP/1.1"),
    "path with a lone percent": raw("GET /100%25/x HTTP/1.1"),
    "two slashes first": raw("GET //evil.com/x HTTP/1.1"),
    "head": raw("HEAD /x HTTP/1.1"),
    "own method": raw("PURGE /x HTTP/1.1"),
    "lower-case method": raw("get /x HTTP/1.1"),
    "http/1.0": raw("GET /x HTTP/1.0"),
    "cookies": raw("GET / HTTP/1.1", 'Cookie: a=1; b="x y"; c; d=e=f;  g = h ; a=2'),
    "cookie with escapes": raw("GET / HTTP/1.1", 'Cookie: q="a\\"b\\073c"'),
    "header values": raw("GET / HTTP/1.1", "X-One: 1", "Accept: text/html;q=0.8, */*;q=0.1"),
    "repeated header": raw("GET / HTTP/1.1", "X-Tag: a", "X-Tag: b"),
    "latin-1 header": raw("GET / HTTP/1.1", "X-Name: Ren\xe9"),
    "empty header": raw("GET / HTTP/1.1", "X-Empty:"),
    "form": raw("POST / HTTP/1.1", FORM, body=b"a=1&b=%C3%A9&b=x+y"),
    "form, put": raw("PUT / HTTP/1.1", FORM, body=b"a=1"),
    "form with charset": raw("POST / HTTP/1.1", f"{FORM}; charset=utf-8", body=b"a=%C3%A9"),
    "form in latin-1: refused": raw("POST / HTTP/1.1", f"{FORM}; charset=latin-1", body=b"a=%E9"),
    "unknown charset": raw("POST / HTTP/1.1", "Content-Type: text/x; charset=klingon", body=b"x"),
    "json": raw("POST / HTTP/1.1", "Content-Type: application/json", body=b'{"a": 1}'),
    "no content type": raw("POST / HTTP/1.1", body=b"whatever"),
    "empty post": raw("POST / HTTP/1.1", FORM, "Content-Length: 0"),
    "multipart": raw(
        "POST / HTTP/1.1", "Content-Type: multipart/form-data; boundary=X", body=MULTIPART
    ),
    "multipart in latin-1": raw(
        "POST / HTTP/1.1",
        "Content-Type: multipart/form-data; charset=latin-1; boundary=X",
        body=MULTIPART,
    ),
    "multipart without boundary": raw(
        "POST / HTTP/1.1", "Content-Type: multipart/form-data", body=MULTIPART
    ),
    "multipart cut short": raw(
        "POST / HTTP/1.1", "Content-Type: multipart/form-data; boundary=X", body=MULTIPART[:60]
    ),
    "proxied": raw(
        "GET / HTTP/1.1",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: public.example",
        "X-Forwarded-Port: 8443",
    ),
}

# What is looked at, in this order, on one request object after the other.
LOOKS: dict[str, Callable[[HttpRequest], Any]] = {
    "method": lambda r: r.method,
    "path": lambda r: r.path,
    "path_info": lambda r: r.path_info,
    "get_full_path": lambda r: r.get_full_path(),
    "get_full_path(slash)": lambda r: r.get_full_path(force_append_slash=True),
    "get_full_path_info": lambda r: r.get_full_path_info(),
    "repr": lambda r: repr(r).partition(":")[2],
    "GET": lambda r: list(r.GET.lists()),
    "content_type": lambda r: r.content_type,
    "content_params": lambda r: r.content_params,
    "encoding": lambda r: r.encoding,
    "COOKIES": lambda r: r.COOKIES,
    "scheme": lambda r: r.scheme,
    "is_secure": lambda r: r.is_secure(),
    "get_host": lambda r: r.get_host(),
    "build_absolute_uri": lambda r: r.build_absolute_uri(),
    "build_absolute_uri(x)": lambda r: r.build_absolute_uri("../x?y=1"),
    "accepts": lambda r: (r.accepts("text/html"), r.accepts("image/png")),
    "headers": lambda r: {k: v for k, v in r.headers.items() if k != "Content-Length"},
    "header, any case": lambda r: r.headers.get("x_ONE"),
    "META": lambda r: {k: v for k, v in r.META.items() if k.startswith("HTTP_")},
    "META line": lambda r: (r.META["REQUEST_METHOD"], r.META["PATH_INFO"], r.META["SCRIPT_NAME"]),
    "POST": lambda r: list(r.POST.lists()),
    "FILES": lambda r: [(k, f.name, f.content_type, f.read()) for k, f in r.FILES.items()],
    "body": lambda r: r.body,
    "read": lambda r: r.read(),
    "lines": lambda r: r.readlines(),
    "resolver_match": lambda r: r.resolver_match,
    "has urlconf": lambda r: hasattr(r, "urlconf"),
}
BODY_FIRST = {name: LOOKS[name] for name in ("body", "read", "POST", "FILES", "encoding")}
READ_FIRST = {
    "readline": lambda r: r.readline(),
    "read(3)": lambda r: r.read(3),
    "rest": lambda r: r.readlines(),
    **BODY_FIRST,
}
SETTINGS = {"ALLOWED_HOSTS": ["*"], "FILE_UPLOAD_MAX_MEMORY_SIZE": 1000}

# Where Django's own two do not agree, ours is as named.
LIKE_WSGI = {("query in latin-1", "META"), ("path that is no UTF-8", "get_full_path")}


def look(request: HttpRequest, looks: dict[str, Callable[[HttpRequest], Any]]) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    for name, take in looks.items():
        try:
            seen[name] = take(request)
        except Exception as error:
            seen[name] = (type(error).__name__, str(error))
    return seen


def parse(data: bytes) -> tuple[bytes, bytes, bytes, list[tuple[bytes, bytes]], bytes]:
    head, _, body = data.partition(CRLF * 2)
    line, *fields = head.split(CRLF)
    method, target, _version = line.split(b" ")
    path, _, query = target.partition(b"?")
    pairs = [(name, value.strip()) for name, _, value in (f.partition(b":") for f in fields)]
    return method, path, query, pairs, body


def wsgi_request(data: bytes) -> HttpRequest:
    method, path, query, fields, body = parse(data)
    environ = {
        "REQUEST_METHOD": method.decode(),
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query.decode("latin-1"),
        "SCRIPT_NAME": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.input": BytesIO(body),
        "wsgi.url_scheme": "http",
    }
    for name, value in fields:
        key = name.decode().upper().replace("-", "_")
        key = key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"
        text = value.decode("latin-1")
        environ[key] = f"{environ[key]},{text}" if key in environ else text
    return WSGIRequest(environ)


def ours(data: bytes, looks: dict[str, Callable[[HttpRequest], Any]]) -> dict[str, Any]:
    seen: list[Any] = []

    def view(request: Request) -> HttpResponse:
        seen.append(look(request, looks))
        return HttpResponse()

    with LiveServer(view) as server:
        server.send_raw(data)
    assert not server.errors
    return seen[0]


@pytest.mark.parametrize("name", REQUESTS)
@pytest.mark.parametrize(
    "looks", [LOOKS, BODY_FIRST, READ_FIRST], ids=["attributes", "body first", "read first"]
)
@override_settings(**SETTINGS)
def test_as_under_wsgi(name: str, looks: dict[str, Callable[[HttpRequest], Any]]) -> None:
    assert ours(REQUESTS[name], looks) == look(wsgi_request(REQUESTS[name]), looks)


@pytest.mark.parametrize("name", ["plain", "query", "cookies", "form", "multipart", "encoded path"])
@override_settings(**SETTINGS)
def test_as_under_asgi(name: str) -> None:
    method, path, query, fields, body = parse(REQUESTS[name])
    scope = {
        "type": "http",
        "method": method.decode(),
        "path": unquote_to_bytes(path).decode(),
        "query_string": query,
        "headers": [(field.lower(), value) for field, value in fields],
        "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 1234),
    }
    assert ours(REQUESTS[name], LOOKS) == look(ASGIRequest(scope, BytesIO(body)), LOOKS)


@override_settings(**SETTINGS, SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https"))
@pytest.mark.parametrize("forwarded", [False, True])
def test_behind_a_proxy(forwarded: bool) -> None:
    with override_settings(USE_X_FORWARDED_HOST=forwarded, USE_X_FORWARDED_PORT=forwarded):
        looks = {**LOOKS, "get_port": lambda r: r.get_port() if forwarded else ""}
        assert ours(REQUESTS["proxied"], looks) == look(wsgi_request(REQUESTS["proxied"]), looks)
        assert ours(REQUESTS["proxied"], looks)["scheme"] == "https"


@pytest.mark.parametrize(
    ("target", "path", "path_info"),
    [
        ("/app/x/", "/app/x/", "/x/"),  # left in the path by the proxy
        ("/x/", "/app/x/", "/x/"),  # taken away by it
        ("/app", "/app/", "/"),
        ("/apple/", "/app/apple/", "/apple/"),
    ],
)
def test_script_name(target: str, path: str, path_info: str) -> None:
    with override_settings(FORCE_SCRIPT_NAME="/app", **SETTINGS):
        seen = ours(raw(f"GET {target} HTTP/1.1"), LOOKS)
    assert (seen["path"], seen["path_info"]) == (path, path_info)
    assert seen["META line"] == ("GET", path_info, "/app")


def test_chunked_form_has_a_length() -> None:
    data = raw("POST / HTTP/1.1", FORM, "Transfer-Encoding: chunked", body=b"3\r\na=1\r\n0\r\n\r\n")
    looks = {
        "POST": LOOKS["POST"],
        "body": LOOKS["body"],
        "length": lambda r: r.META["CONTENT_LENGTH"],
    }
    assert ours(data, looks) == {"POST": [("a", ["1"])], "body": b"a=1", "length": "3"}


def test_chunked_multipart_is_parsed() -> None:
    chunk = b"%x\r\n%s\r\n0\r\n\r\n" % (len(MULTIPART), MULTIPART)
    data = raw(
        "POST / HTTP/1.1",
        "Content-Type: multipart/form-data; boundary=X",
        "Transfer-Encoding: chunked",
        body=chunk,
    )
    seen = ours(data, LOOKS)
    assert seen["POST"] == [("title", ["München"])]
    assert [file[1] for file in seen["FILES"]] == ["a b.txt"]


def test_body_over_the_limit() -> None:
    def taken(request: HttpRequest) -> Any:
        with pytest.raises(RequestDataTooBig):
            _ = request.body
        return True

    with override_settings(DATA_UPLOAD_MAX_MEMORY_SIZE=10, **SETTINGS):
        assert ours(raw("POST / HTTP/1.1", body=b"x" * 11), {"taken": taken}) == {"taken": True}
        assert ours(raw("POST / HTTP/1.1", body=b"x" * 10), {"body": LOOKS["body"]}) == {
            "body": b"x" * 10
        }


def test_body_after_reading() -> None:
    def taken(request: HttpRequest) -> Any:
        request.read(1)
        with pytest.raises(RawPostDataException):
            _ = request.body
        return True

    assert ours(raw("POST / HTTP/1.1", body=b"abc"), {"taken": taken}) == {"taken": True}


@override_settings(DATA_UPLOAD_MAX_MEMORY_SIZE=None)
@pytest.mark.parametrize("size", [0, 10, 3_000_000], ids=["none", "in memory", "spooled"])
def test_wsgi_input(size: int) -> None:
    """The stream that WSGI code reads, PEP 3333; what it takes, Django's parsers do not see."""

    def read(request: HttpRequest) -> Any:
        stream = request.META["wsgi.input"]
        data = stream.read(4) + stream.readline() + b"".join(stream)
        return data, request.META["wsgi.input"].read(), request.POST.dict()

    body = (b"a=1&b=%0A\n" * (size // 10))[:size]
    data = raw("POST / HTTP/1.1", FORM, body=body)
    assert ours(data, {"x": read})["x"] == (body, b"", {})


def test_wsgi_input_is_there_for_the_next_request() -> None:
    def close(request: HttpRequest) -> Any:
        request.META["wsgi.input"].close()
        return request.META["wsgi.input"].read(), list(request.META["wsgi.input"].readlines())

    for _ in range(2):
        assert ours(REQUESTS["plain"], {"x": close})["x"] == (b"", [])


@override_settings(DATA_UPLOAD_MAX_MEMORY_SIZE=None)
@pytest.mark.parametrize("size", [10, 3_000_000], ids=["in memory", "spooled"])
def test_body_after_meta(size: int) -> None:
    data = raw("POST / HTTP/1.1", body=b"x" * size)
    assert ours(data, {"x": lambda r: ("CONTENT_TYPE" in r.META, r.body)})["x"][1] == b"x" * size


def test_every_attribute_can_be_assigned() -> None:
    names = ["method", "path", "path_info", "scheme_", "META", "GET", "POST", "COOKIES", "user"]
    names += ["session", "urlconf", "resolver_match", "content_type", "content_params", "body_"]

    def assign(request: HttpRequest) -> Any:
        for name in names:
            setattr(request, name, name)
        return [getattr(request, name) for name in names]

    assert ours(REQUESTS["plain"], {"all": assign}) == {"all": names}


def test_path_does_not_follow_path_info() -> None:
    def assign(request: HttpRequest) -> Any:
        request.path_info = "/other/"
        return request.path, request.META["PATH_INFO"]

    assert ours(REQUESTS["query"], {"x": assign}) == {"x": ("/a/b/", "/a/b/")}


def test_encoding_that_was_set_wins_over_the_charset() -> None:
    def change(request: HttpRequest) -> Any:
        before = request.GET["q"]
        request.encoding = "latin-1"
        return before, request.GET["q"], request.content_type, request.encoding

    data = raw("GET /?q=%E9 HTTP/1.1", "Content-Type: text/plain; charset=utf-8")
    assert ours(data, {"x": change}) == {"x": ("\ufffd", "é", "text/plain", "latin-1")}


def test_upload_handlers_can_be_changed_until_they_are_used() -> None:
    def change(request: HttpRequest) -> Any:
        request.upload_handlers.pop()
        count = len(request.upload_handlers)
        request.FILES  # noqa: B018
        with pytest.raises(AttributeError):
            request.upload_handlers = []
        return count

    assert ours(REQUESTS["multipart"], {"x": change}) == {"x": 1}


def test_copy() -> None:
    def copied(request: HttpRequest) -> Any:
        request.user = "someone"
        other = copy.copy(request)
        other.path_info = "/elsewhere/"
        other.method = "PUT"
        assert other.META is request.META
        return type(other), other.user, request.path_info, request.method, other.GET, other.body

    seen = ours(REQUESTS["form"], {"x": copied})["x"]
    assert seen == (Request, "someone", "/", "POST", {}, b"a=1&b=%C3%A9&b=x+y")


@pytest.mark.parametrize("size", [0, 10, 3_000_000], ids=["none", "in memory", "spooled"])
def test_deepcopy(size: int) -> None:
    def copied(request: HttpRequest) -> Any:
        request.session = {"seen": []}
        taken = request.META["wsgi.input"].read(4)
        other = copy.deepcopy(request)
        request.session["seen"].append(1)
        request.META["HTTP_HOST"] = "changed"
        rest = other.META["wsgi.input"].read()
        same = request.META["wsgi.input"].read() == rest
        return type(other), other.session, other.get_host(), other.GET["a"], same, taken + rest

    body = (b"0123456789" * (size // 10))[:size]
    seen = ours(raw("POST /?a=b HTTP/1.1", body=body), {"x": copied})["x"]
    assert seen == (Request, {"seen": []}, "example.com", "b", True, body)


def test_middleware_that_changes_meta_is_heard() -> None:
    def change(request: HttpRequest) -> Any:
        request.META["HTTP_COOKIE"] = "z=1"
        request.META["QUERY_STRING"] = "n=2"
        request.META["HTTP_X_NEW"] = "3"
        return request.COOKIES, request.GET.dict(), request.headers["X-New"]

    assert ours(REQUESTS["cookies"], {"x": change})["x"] == ({"z": "1"}, {"n": "2"}, "3")
