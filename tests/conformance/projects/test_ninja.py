"""shop_ninja: an ordinary project with django-ninja, with operations of both kinds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from served import manage, prepared
from twins import Browser, Twins, twins

pytestmark = pytest.mark.conformance

NEEDS = "django-ninja"
USER = {"username": "buyer", "password": "correct horse"}
UUID = "0f6b4a5e-8a61-4d43-9a52-2f4c0a8d1e77"
ORDER = {"day": "2026-11-21", "address": {"street": "Rue 1"}, "lines": {"a": 1}}
IDENTITY = {"Accept-Encoding": "identity"}
GZIP = {"Accept-Encoding": "gzip"}
RULES = [(r'("added": ")[\dT:.-]+Z', r"\1TIME")]
# Where an operation has a twin that waits.
BOTH_KINDS = pytest.mark.parametrize("kind", ["", "async/"], ids=["sync", "async"])


@pytest.fixture(scope="module")
def shop(needs: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twins]:
    source = Path(__file__).parent / "shop_ninja"
    project = prepared(source, tmp_path_factory.mktemp("ninja"))
    manage(project, "createsuperuser", "--noinput", "--username=buyer", "--email=b@example.com")
    with twins(project, RULES) as both:
        yield both


@pytest.fixture
def client(shop: Twins) -> Browser:
    """Uncompressed where a test does not ask: whether GZipMiddleware gains anything on a short
    answer is decided by the random padding that it adds."""
    return shop.browser(**IDENTITY)


def value(answer: Any) -> Any:
    return json.loads(answer.text)


def test_documentation(client: Browser) -> None:
    page = client.get("/api/docs")
    assert (page.status, page["content-type"]) == (200, "text/html; charset=utf-8")
    assert "Swagger" in page.text or "swagger" in page.text
    for file in ("swagger-ui-bundle.js", "swagger-ui.css", "swagger-ui-init.js", "favicon.png"):
        assert client.get(f"/static/ninja/{file}").status == 200
    schema = value(client.get("/api/openapi.json"))
    assert schema["info"] == {"title": "Shop", "version": "1.0", "description": ""}
    assert "/api/async/products" in schema["paths"]


# --- the ORM


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("", 4),
        ("?limit=1&offset=2", 4),
        ("?limit=0", None),
        ("?limit=x", None),
        ("?name=saite", 1),
        ("?name=d%C3%BCnn", 1),
        ("?price=3", 2),
        ("?price=cheap", None),
    ],
)
def test_list(client: Browser, query: str, count: int | None) -> None:
    answer = client.get(f"/api/products{query}")
    if count is None:
        assert answer.status == 422
    else:
        assert (answer.status, value(answer)["count"]) == (200, count)


@BOTH_KINDS
@pytest.mark.parametrize(("key", "status"), [("1", 200), ("4", 200), ("99", 404), ("x", 404)])
def test_one(client: Browser, kind: str, key: str, status: int) -> None:
    assert client.get(f"/api/{kind}products/{key}").status == status


def test_delete(client: Browser) -> None:
    answer = client.ask("DELETE", "/api/products/1")
    assert (answer.status, answer.body) == (204, b"")
    assert client.ask("DELETE", "/api/products/99").status == 404


@BOTH_KINDS
def test_add(client: Browser, kind: str) -> None:
    body = {"name": "Geige ü \u2028", "price": "12.30", "tags": ["a"]}
    answer = client.post(f"/api/{kind}products", json=body)
    assert (answer.status, value(answer)["name"]) == (201, body["name"])


@BOTH_KINDS
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"{}",
        b'{"name": "", "price": 1}',
        b'{"name": "12", "price": 1}',
        b'{"name": "a", "price": -1}',
        b'{"name": "a", "price": 1.234}',
        b'{"name": "a", "price": 1, "size": "xl"}',
        b'{"name": "a", "price": 1, "tags": "b"}',
        b'{"name": "a", "price": NaN}',
        b'{"name": "\xff", "price": 1}',
        b'{"name": "\\ud800", "price": 1}',
        b"\xef\xbb\xbf{}",
    ],
)
def test_body_that_is_refused(client: Browser, kind: str, content: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    answer = client.post(f"/api/{kind}products", content=content, headers=headers)
    assert answer.status in {400, 422}


# --- parameters


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (f"/api/echo/a/{UUID}?n=1", 200),
        (f"/api/echo/a%2Fb/{UUID}?n=1", 404),
        (f"/api/echo/%C3%BC%20+/{UUID}?n=-7&at=2026-02-28&ratio=1e3&size=s&flag=on", 200),
        (f"/api/echo/a/{UUID}?n=1&tag=x&tag=y%26&tag=", 200),
        (f"/api/echo/a/{UUID}", 422),
        (f"/api/echo/a/{UUID}?n=", 422),
        (f"/api/echo/a/{UUID}?n=1.5&at=2026-02-30&ratio=x&size=m&flag=perhaps", 422),
        ("/api/echo/a/no-uuid?n=1", 404),
        ("/api/async/echo/", 404),
        ("/api/async/echo/a/b//c.d?n=1.50", 200),
        ("/api/async/echo/a;b?n=1;n=2", 422),
        ("/api/no-such", 404),
        ("/api/", 404),
        ("/api", 301),
    ],
)
def test_parameters(client: Browser, target: str, status: int) -> None:
    assert client.target(target).status == status


def test_headers_and_cookies_of_the_request(client: Browser) -> None:
    answer = client.get(f"/api/echo/a/{UUID}?n=1", headers={"X-Agent": "Grappelli"})
    assert value(answer)["agent"] == "Grappelli"
    cookies = {"Cookie": 'a=1; b="x y"; c; d=e=f; a=2'}
    assert "a" in value(client.get("/api/async/echo/x", headers=cookies))["cookies"]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({}, 200),
        ({"at": "2026-11-21T10:00:00+01:00"}, 200),
        ({"at": 0}, 200),
        ({"day": "21.11.2026"}, 422),
        ({"address": {}}, 422),
        ({"address": {"street": "x", "country": "FR"}}, 422),
        ({"lines": {"a": "b", "c": None}}, 422),
        ({"lines": []}, 422),
    ],
)
def test_nested_body(client: Browser, change: dict[str, Any], status: int) -> None:
    body = {**ORDER, **change}
    assert client.post("/api/orders?dry=yes", json=body).status == status
    assert client.ask("PUT", "/api/async/orders/7", json=body).status == status


@pytest.mark.parametrize(
    ("data", "status"),
    [
        ({"name": "ü &=+", "count": "3", "tag": ["a", "b"]}, 200),
        ({"name": "a", "count": "three", "tag": "a"}, 422),
        ({}, 422),
    ],
)
def test_form(client: Browser, data: dict[str, Any], status: int) -> None:
    assert client.post("/api/forms", data=data).status == status
    files = {"ignored": ("f.txt", b"x")}
    assert client.post("/api/forms", data=data, files=files).status == status


@pytest.mark.parametrize(
    "method", ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PURGE"]
)
@pytest.mark.parametrize("path", ["any", "products", "async/echo/x", "openapi.json", "stream"])
def test_methods(client: Browser, path: str, method: str) -> None:
    client.ask(method, f"/api/{path}")


# --- files


@pytest.mark.parametrize("size", [0, 1, 65_536, 3_000_000])
def test_files(client: Browser, size: int) -> None:
    """In memory, and, past 2.5 MB, in a temporary file."""
    content = (b"0123456789abcdef" * (size // 16 + 1))[:size]
    several = [("upload", ("ä b.bin", content)), ("upload", ("two.txt", b"2", "text/plain"))]
    answer = client.post("/api/files", data={"title": "Täg"}, files=several)
    assert answer.status == 200
    assert value(answer)["files"][0]["sha256"] == hashlib.sha256(content).hexdigest()
    answer = client.post("/api/async/files", files={"upload": ("x.bin", content)})
    assert (answer.status, value(answer)["size"]) == (200, size)


def test_files_that_are_missing(client: Browser) -> None:
    assert client.post("/api/files", data={"title": "t"}).status == 422
    assert client.post("/api/async/files", json={}).status == 422


# --- who may


@BOTH_KINDS
@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (None, 401),
        ("Bearer", 401),
        ("Bearer wrong", 401),
        ("bearer open sesame", 200),
        ("Bearer sesame", 401),
        ("Bearer open sesame", 200),
        ("Basic YTpi", 401),
    ],
)
def test_bearer(client: Browser, kind: str, authorization: str | None, status: int) -> None:
    headers = {"Authorization": authorization} if authorization else {}
    assert client.get(f"/api/{kind}bearer", headers=headers).status == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"X-Key": "7"}, 200),
        ({"x-key": "8"}, 401),
        ({"Authorization": "Basic YTpvcGVu"}, 200),
        ({"Authorization": "Basic YTpi"}, 401),
        ({"Authorization": "Basic \xe9"}, 401),
    ],
)
def test_key_or_basic(client: Browser, headers: dict[str, str], status: int) -> None:
    encoded = [(name, text.encode("latin-1")) for name, text in headers.items()]
    assert client.get("/api/key-or-basic", headers=encoded).status == status


def test_session(client: Browser) -> None:
    for path in ("me", "async/me", "superuser"):
        assert client.get(f"/session/{path}").status == 401
    client.get("/login/")
    assert client.submit("/login/", {**USER, "password": "wrong"}).status == 200
    assert value(client.follow(client.submit("/login/", USER))) == {"name": "buyer"}
    for path in ("async/me", "superuser"):
        assert value(client.get(f"/session/{path}")) == {"name": "buyer"}
    assert client.post("/session/basket?product=1").status == 403
    assert value(client.script("POST", "/session/basket?product=1")) == {"basket": [1]}
    assert value(client.script("POST", "/session/basket?product=2")) == {"basket": [1, 2]}


# --- answers that are not plain


@BOTH_KINDS
@pytest.mark.parametrize(("error", "status"), [("http", 418), ("own", 409)])
def test_errors(client: Browser, kind: str, error: str, status: int) -> None:
    assert client.get(f"/api/{kind}errors/{error}").status == status


@BOTH_KINDS
def test_operation_that_fails(client: Browser, kind: str) -> None:
    assert client.statuses(f"/api/{kind}errors/zero") == [500, 500]


@BOTH_KINDS
def test_stream(client: Browser, kind: str) -> None:
    answer = client.get(f"/api/{kind}stream")
    assert answer.text.splitlines() == [str(n) for n in range(1000)]


@BOTH_KINDS
def test_conditional_and_compressed(client: Browser, kind: str) -> None:
    """Django's own middleware, which the project has."""
    stream = client.get(f"/api/{kind}stream", headers=GZIP)
    assert (stream["content-encoding"], len(stream.text)) == ("gzip", 3890)
    path = "/api/openapi.json"
    full = client.get(path, headers=GZIP)
    assert full["content-encoding"] == "gzip"
    again = client.get(path, headers={**GZIP, "If-None-Match": full["etag"]})
    assert (again.status, again.body) == (304, b"")
    other = client.get(path, headers={"If-None-Match": '"other"'})
    assert (other.status, "content-encoding" in other) == (200, False)


def test_language(client: Browser) -> None:
    assert client.get("/api/headers", headers={"Accept-Language": "de"})["content-language"] == "de"
    page = client.get("/login/", headers={"Accept-Language": "fr"})
    assert "Mot de passe" in page.text


def test_many_at_once(shop: Twins) -> None:
    """Connections share loop and threads: no answer may be another's."""

    def ask(number: int) -> None:
        with shop.browser(**IDENTITY) as browser:
            for n in range(10):
                answer = browser.get(f"/api/echo/{number}/{UUID}?n={n}")
                assert (value(answer)["name"], value(answer)["n"]) == (str(number), n)
                answer = browser.get(f"/api/async/echo/{number}/{n}")
                assert value(answer)["rest"] == f"{number}/{n}"
                body = {"name": f"name {number}", "price": n + 1}
                answer = browser.post("/api/async/products", json=body)
                assert value(answer)["price"] == str(n + 1)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(8)))


def test_headers_of_the_answer(client: Browser) -> None:
    answer = client.get("/api/headers")
    assert (answer.status, answer["x-shop"]) == (200, "open")
    cookies = [text for name, text in answer.headers if name == "set-cookie"]
    assert len(cookies) == 3
