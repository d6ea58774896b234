"""library_rest: an ordinary project with Django REST framework."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from served import manage, prepared
from twins import Browser, Twins, twins

pytestmark = pytest.mark.conformance

NEEDS = "djangorestframework"
USER = {"username": "reader", "password": "correct horse"}
BASIC = (USER["username"], USER["password"])
HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
BOOK = {"title": "Amerika", "author": "/api/authors/2/", "year": 1927}
RULES = [
    (r'("token":\s*")[0-9a-f]{40}', r"\1TOKEN"),
    # A day less what has gone by since the first request.
    (r"\b8\d{4}\b", "SECONDS"),
]


@pytest.fixture(scope="module")
def library(needs: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twins]:
    source = Path(__file__).parent / "library_rest"
    project = prepared(source, tmp_path_factory.mktemp("rest"))
    manage(project, "createsuperuser", "--noinput", "--username=reader", "--email=r@example.com")
    with twins(project, RULES) as both:
        yield both


@pytest.fixture
def client(library: Twins) -> Browser:
    """Of programs: it accepts everything, and gets JSON."""
    return library.browser()


@pytest.fixture(scope="module")
def reader(library: Twins) -> Browser:
    """Logged in with a session, in the browsable API."""
    browser = library.browser(**HTML)
    browser.get("/api-auth/login/?next=/api/")
    answer = browser.submit("/api-auth/login/", {**USER, "next": "/api/"})
    assert (answer.status, answer["location"]) == (302, "/api/")
    return browser


# --- reading


@pytest.mark.parametrize("accept", ["application/json", "text/html", "*/*", "text/html;q=0.1, */*"])
@pytest.mark.parametrize(
    "path",
    [
        "/api/",
        "/api/authors/",
        "/api/authors/?format=json",
        "/api/authors/?format=api",
        "/api/authors/1/",
        "/api/books/",
        "/api/books/?page=2",
        "/api/books/?page=last",
        "/api/books/?page=99",
        "/api/books/?page=%00",
        "/api/books/?search=kafka",
        "/api/books/?search=%E5%B7%9D%E7%AB%AF",
        "/api/books/?ordering=-year&page=2",
        "/api/books/1/",
        "/api/books/1.json",
        "/api/books/999/",
        "/api/books/x%20y/",
        "/api/books",
        "/api/no-such/",
        "/api/covers/",
        "/api/report.txt",
    ],
)
def test_read(client: Browser, path: str, accept: str) -> None:
    answer = client.get(path, headers={"Accept": accept})
    assert answer.status in {200, 301, 404, 406}


def test_pagination(client: Browser) -> None:
    page = json.loads(client.get("/api/books/").text)
    assert (page["count"], len(page["results"])) == (8, 5)
    assert page["next"] == "http://HOST/api/books/?page=2"
    rest = json.loads(client.get("/api/books/?page=2").text)
    assert (len(rest["results"]), rest["next"]) == (3, None)


def test_formats_that_nobody_has(client: Browser) -> None:
    assert client.get("/api/books/", headers={"Accept": "text/turtle"}).status == 406
    assert client.get("/api/books/?format=xml").status == 404


def test_browsable_api_and_its_files(client: Browser) -> None:
    page = client.get("/api/books/", headers=HTML)
    assert (page.status, page["content-type"]) == (200, "text/html; charset=utf-8")
    assert "Log in" in page.text
    for file in ("css/bootstrap.min.css", "css/default.css", "js/default.js", "img/grid.png"):
        assert client.get(f"/static/rest_framework/{file}").status == 200


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PATCH", "PUT", "DELETE", "PURGE"])
@pytest.mark.parametrize("path", ["/api/books/", "/api/books/1/", "/api/token/", "/api/report.txt"])
def test_methods_without_a_login(client: Browser, method: str, path: str) -> None:
    client.ask(method, path)


def test_stream(client: Browser) -> None:
    assert client.get("/api/report.txt").text.splitlines()[-1] == "雪国"


def test_view_that_fails(client: Browser) -> None:
    assert client.get("/api/broken/?by=2").status == 200
    assert client.statuses("/api/broken/?by=0") == [500, 500]


# --- authentication


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "Basic cmVhZGVyOndyb25n",
        "Basic !!!",
        "Basic",
        "Basic a b c",
        "Token 0123456789abcdef0123456789abcdef01234567",
        "Token",
        "Token a b",
        "Bearer x",
    ],
)
def test_refused(client: Browser, authorization: str | None) -> None:
    headers = {"Authorization": authorization} if authorization else {}
    answer = client.post("/api/books/", json=BOOK, headers=headers)
    assert answer.status == 401
    assert answer["www-authenticate"] == 'Basic realm="api"'


def test_token(client: Browser) -> None:
    refused = client.post("/api/token/", data={**USER, "password": "wrong"})
    assert refused.status == 400
    assert client.post("/api/token/", data=USER).status == 200
    assert client.post("/api/token/", json=USER).status == 200


def test_basic(client: Browser) -> None:
    answer = client.ask("PATCH", "/api/books/2/", json={"price": "12.50"}, auth=BASIC)
    assert (answer.status, json.loads(answer.text)["price"]) == (200, "12.50")


def test_session_needs_the_csrf_token(reader: Browser) -> None:
    answer = reader.post("/api/books/", json=BOOK, headers={"Accept": "application/json"})
    assert answer.status == 403
    assert "CSRF" in answer.text


def test_login_and_logout(library: Twins) -> None:
    browser = library.browser(**HTML)
    browser.get("/api-auth/login/?next=/api/books/")
    wrong = browser.submit("/api-auth/login/", {**USER, "password": "wrong"})
    assert wrong.status == 200
    assert "correct username and password" in wrong.text
    assert browser.submit("/api-auth/login/", {**USER, "next": "/api/books/"}).status == 302
    page = browser.get("/api/books/")
    assert "Log out" in page.text
    assert browser.submit("/api-auth/logout/?next=/api/").status == 302
    assert "Log in" in browser.get("/api/").text


# --- writing


def test_form_of_the_browsable_api(reader: Browser) -> None:
    reader.get("/api/books/")
    answer = reader.submit("/api/books/", {**BOOK, "price": ""})
    assert answer.status == 201
    assert "reader" in answer.text
    again = reader.submit("/api/books/", {"title": "", "year": "no"})
    assert again.status == 400
    assert "A valid integer is required." in again.text


def test_json_with_a_session(reader: Browser) -> None:
    more = {"headers": {"Accept": "application/json"}}
    body = {**BOOK, "title": "Brief an den Vater"}
    created = reader.script("POST", "/api/books/", json=body, **more)
    assert created.status == 201
    path = created["location"].removeprefix("http://HOST")
    assert reader.script("PUT", path, json={**body, "year": 1952}, **more).status == 200
    assert reader.script("POST", f"{path}discount/", **more).status == 200
    deleted = reader.script("DELETE", path, **more)
    assert (deleted.status, deleted.body) == (204, b"")
    assert reader.get(path, **more).status == 404


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"title", "author", "year"}),
        ({"title": "x" * 201, "author": "/api/authors/1/", "year": 1900}, {"title"}),
        ({"title": "T", "author": "/api/authors/99/", "year": 1900}, {"author"}),
        ({"title": "T", "author": "no url", "year": 1900}, {"author"}),
        ({"title": "T", "author": "/api/authors/1/", "year": 1400}, {"year"}),
        ({"title": "T", "author": "/api/authors/1/", "year": 1900, "price": "1.234"}, {"price"}),
        ({"title": [], "author": {}, "year": None}, {"title", "author", "year"}),
        ([], {"non_field_errors"}),
    ],
)
@pytest.mark.parametrize("accept", ["application/json", "text/html"])
def test_validation(client: Browser, body: Any, fields: set[str], accept: str) -> None:
    answer = client.post("/api/books/", json=body, auth=BASIC, headers={"Accept": accept})
    assert answer.status == 400
    if accept == "application/json":
        assert json.loads(answer.text).keys() == fields


@pytest.mark.parametrize(
    ("kind", "content", "status"),
    [
        ("application/json", b"{", 400),
        ("application/json", b"", 400),
        ("application/json", b"\xff\xfe", 400),
        ("application/json", b'{"title": "\xe9"}', 400),
        ("application/x-www-form-urlencoded", b"title=a&title=b&year=%E9", 400),
        ("multipart/form-data", b"no boundary", 400),
        ("multipart/form-data; boundary=x", b"--x\r\nbroken", 400),
        ("application/xml", b"<book/>", 415),
        ("text/plain; charset=klingon", b"x", 415),
    ],
)
def test_bodies_that_are_broken(client: Browser, kind: str, content: bytes, status: int) -> None:
    headers = {"Content-Type": kind}
    answer = client.post("/api/books/", content=content, headers=headers, auth=BASIC)
    assert answer.status == status


def test_multipart_upload(client: Browser) -> None:
    picture = bytes(range(256)) * 64
    files = {"image": ("a b \u2013 ü.png", picture, "image/png")}
    answer = client.post("/api/covers/", data={"book": "1"}, files=files, auth=BASIC)
    assert answer.status == 201
    covers = json.loads(client.get("/api/covers/").text)
    assert covers[0]["image"].startswith("http://HOST/media/covers/")
    missing = client.post("/api/covers/", data={"book": "1"}, files={"x": b"x"}, auth=BASIC)
    assert missing.status == 400


@pytest.mark.parametrize("size", [0, 1, 70_000, 4_000_000])
def test_file_upload_parser(client: Browser, size: int) -> None:
    """Django's upload handlers, fed from a body that is in memory and from one on disk."""
    content = (b"0123456789" * (size // 10 + 1))[:size]
    headers = {"Content-Type": "application/octet-stream"}
    answer = client.ask(
        "PUT", "/api/scans/page%201.tif", content=content, headers=headers, auth=BASIC
    )
    if size == 0:
        assert answer.status == 400
        return
    found = json.loads(answer.text)
    assert (answer.status, found["size"]) == (201, size)
    assert found["sha256"] == hashlib.sha256(content).hexdigest()


def test_throttling(client: Browser) -> None:
    """By the client's address: three a day."""
    answers = [client.get("/api/guess/", params={"guess": n}) for n in range(3)]
    assert [answer.status for answer in answers] == [200] * 3
    refused = client.get("/api/guess/")
    assert refused.status == 429
    assert refused["retry-after"] == "SECONDS"
    assert "throttled" in refused.text
