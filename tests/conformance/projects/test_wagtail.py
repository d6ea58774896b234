"""A new Wagtail site, as ``wagtail start`` makes it, with nothing but our line in its settings."""

from __future__ import annotations

import json
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from answers import Answer
from served import command, manage
from twins import Browser, Twins, twins

pytestmark = pytest.mark.conformance

NEEDS = "wagtail"
USER = {"username": "editor", "password": "correct horse"}
LINKED = re.compile(r'(?:src|href)="(/(?:static|media)/[^"#?]+(?:\?[^"#]*)?)"')
RULES = [
    # What Wagtail draws for each copy, and the times of what the tests do.
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UUID"),
    (r"\d{4}-\d\d-\d\dT[\d:.]+(Z|\+00:00)?", "TIME"),
    (r"\w+\.? \d+, \d{4}, (midnight|noon|[\d:]+ [ap]\.m\.)", "TIME"),
    (r'(name="\w+_1" value=")[\d:]{8}', r"\1TIME"),
    (r"Just now|\d+\s(second|minute)s?(\sago)?", "AGO"),
]


@pytest.fixture(scope="module")
def project(needs: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Migrated, and with an editor."""
    project = tmp_path_factory.mktemp("wagtail") / "mysite"
    project.mkdir()
    command(project, "-m", "wagtail.bin.wagtail", "start", "mysite", ".")
    add_app(project / "mysite" / "settings" / "base.py")
    manage(project, "migrate", "--verbosity=0")
    manage(project, "update_index", "--verbosity=0")
    manage(project, "createsuperuser", "--noinput", "--username=editor", "--email=e@example.com")
    return project


@pytest.fixture(scope="module")
def site(project: Path) -> Iterator[Twins]:
    with twins(project, RULES) as both:
        yield both


def add_app(settings: Path) -> None:
    text = settings.read_text()
    line = "INSTALLED_APPS = [\n"
    assert line in text
    settings.write_text(text.replace(line, f'{line}    "quintette",\n'))


@pytest.fixture
def visitor(site: Twins) -> Browser:
    return site.browser()


@pytest.fixture(scope="module")
def editor(site: Twins) -> Browser:
    browser = site.browser()
    browser.get("/admin/login/")
    assert browser.submit("/admin/login/", {**USER, "next": "/admin/"}).status == 302
    return browser


def png(width: int, height: int) -> bytes:
    """A picture with colours in it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)

    rows = b"".join(
        b"\0" + b"".join(bytes((x % 256, y % 256, (x * y) % 256)) for x in range(width))
        for y in range(height)
    )
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def linked(browser: Browser, page: Answer) -> list[Answer]:
    """The files that a page links to, asked for as a browser does."""
    return [browser.get(path) for path in sorted(set(LINKED.findall(page.text)))]


# --- a visitor


def test_home_page(visitor: Browser) -> None:
    page = visitor.get("/")
    assert page.status == 200
    assert "<title>" in page.text
    assert [file.status for file in linked(visitor, page)] == [200] * 3


@pytest.mark.parametrize(
    "target",
    [
        "/no-such-page/",
        "/no-such-page",
        "/no-such-page?a=b%20c&d",
        "/caf%C3%A9/%E9/",
        "/static/no-such-file.css",
        "/static/",
        "/media/no-such-file.png",
        "/documents/1/nothing.txt",
    ],
)
def test_not_found(visitor: Browser, target: str) -> None:
    assert visitor.target(target).status in {301, 302, 404}


# Two leading slashes are left out above: http.server makes one of them for a reason of its own
# (CVE-2021-28861); Django under other servers sees both, as it does here.


@pytest.mark.parametrize(
    "target",
    [
        "/static/../mysite/settings/base.py",
        "/static/%2e%2e/mysite/settings/base.py",
        "/static//etc/passwd",
        "/media/../manage.py",
        "/media/%2e%2e/manage.py",
    ],
)
def test_paths_that_leave_their_folder(visitor: Browser, target: str) -> None:
    ours, django = visitor.statuses(target)
    # Django's development server stumbles where ours refuses.
    assert ours == django or (ours, django) == (400, 500)
    assert ours >= 400


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("path", ["/", "/admin/login/", "/static/wagtailadmin/css/core.css"])
def test_methods(visitor: Browser, method: str, path: str) -> None:
    visitor.ask(method, path)


def test_admin_is_closed(visitor: Browser) -> None:
    for path in ("/admin/", "/admin/pages/3/edit/", "/admin/images/", "/django-admin/"):
        answer = visitor.get(path)
        assert (answer.status, "login" in answer["location"]) == (302, True)


def test_search(visitor: Browser) -> None:
    assert visitor.get("/search/").status == 200
    found = visitor.get("/search/", params={"query": "home"})
    assert "No results found" not in found.text
    assert "No results found" in visitor.get("/search/", params={"query": "zebra"}).text
    assert visitor.get("/search/", params={"query": "é ü+&"}).status == 200
    assert visitor.get("/search/?query=home&page=7").status == 200


# --- static files


def test_static_files_of_the_login_page(visitor: Browser) -> None:
    page = visitor.get("/admin/login/")
    files = linked(visitor, page)
    assert len(files) > 5
    assert {file.status for file in files} == {200}
    for file in files:
        path = file.request.removeprefix("GET ")
        again = visitor.get(path, headers={"If-Modified-Since": file["last-modified"]})
        assert (again.status, again.body) == (304, b"")
        assert visitor.ask("HEAD", path).body == b""


# --- logging in and out


def test_wrong_password(visitor: Browser) -> None:
    visitor.get("/admin/login/")
    answer = visitor.submit("/admin/login/", {**USER, "password": "wrong", "next": "/admin/"})
    assert answer.status == 200
    assert "didn&#x27;t match" in answer.text
    assert visitor.get("/admin/").status == 302


def test_login_without_csrf_token(visitor: Browser) -> None:
    assert visitor.post("/admin/login/", data=USER).status == 403


def test_login_from_another_origin(visitor: Browser) -> None:
    visitor.get("/admin/login/")
    headers = {"Origin": "http://evil.example"}
    assert visitor.script("POST", "/admin/login/", data=USER, headers=headers).status == 403


def test_login_and_logout(visitor: Browser) -> None:
    visitor.get("/admin/")
    visitor.get("/admin/login/?next=/admin/")
    entered = visitor.submit("/admin/login/", {**USER, "next": "/admin/"})
    assert (entered.status, entered["location"]) == (302, "/admin/")
    dashboard = visitor.follow(entered)
    assert dashboard.status == 200
    assert "Dashboard" in dashboard.text
    assert {file.status for file in linked(visitor, dashboard)} == {200}
    left = visitor.submit("/admin/logout/")
    assert left.status == 302
    assert "logged out" in visitor.follow(left).text
    assert visitor.get("/admin/").status == 302


# --- an editor


def test_image_upload_and_rendition(editor: Browser) -> None:
    picture = png(400, 300)
    editor.get("/admin/images/add/")
    answer = editor.submit(
        "/admin/images/add/",
        {"title": "Färbig", "collection": "1", "tags": "", "description": ""},
        files={"file": ("a färbig.png", picture, "image/png")},
    )
    listing = editor.follow(answer)
    assert "Färbig" in listing.text
    renditions = [path for path in LINKED.findall(listing.text) if path.startswith("/media/")]
    assert renditions
    for path in renditions:
        rendition = editor.get(path)
        assert (rendition.status, rendition["content-type"]) == (200, "image/png")
        assert rendition.body.startswith(b"\x89PNG")
    original = editor.get("/media/original_images/a_farbig.png")
    assert (original.status, original.body) == (200, picture)


def test_image_chooser(editor: Browser) -> None:
    editor.get("/admin/images/")
    answer = editor.submit(
        "/admin/images/chooser/create/",
        {"image-chooser-upload-title": "Chosen", "image-chooser-upload-collection": "1"},
        files={"image-chooser-upload-file": ("chosen.png", png(64, 48), "image/png")},
    )
    assert (answer.status, json.loads(answer.text)["step"]) == (200, "chosen")


@pytest.mark.parametrize(
    ("kind", "name", "content", "success"),
    [
        ("images", "two.png", png(1200, 900), True),
        ("images", "none.png", b"no image", False),
        ("documents", "notes.txt", b"\x00\xff" * 1_500_000, True),
    ],
)
def test_upload_by_script(
    editor: Browser, kind: str, name: str, content: bytes, success: bool
) -> None:
    """What the page's JavaScript does; the document is longer than what is kept in memory."""
    path = f"/admin/{kind}/multiple/add/"
    editor.get(path)
    files = {"files[]": (name, content, "application/octet-stream")}
    answer = editor.submit(path, {"collection": "1"}, files=files)
    assert (answer.status, json.loads(answer.text)["success"]) == (200, success)


def publish(editor: Browser, path: str, title: str, slug: str) -> Answer:
    editor.get(path)
    comments = {f"comments-{name}": "0" for name in ("TOTAL_FORMS", "INITIAL_FORMS")}
    data = {**comments, "title": title, "slug": slug, "action-publish": "action-publish"}
    answer = editor.submit(path, data)
    assert answer.status == 302, answer.text
    return editor.follow(answer)


def test_edit_and_publish(editor: Browser, visitor: Browser) -> None:
    said = publish(editor, "/admin/pages/3/edit/", "Gypsy jazz \u2013 caf\u00e9", "home")
    assert "has been published" in said.text
    title = re.search(r"<title>\s*(.*?)\s*</title>", visitor.get("/").text, re.DOTALL)
    assert title
    assert title[1] == "Gypsy jazz \u2013 café"


def test_new_page(editor: Browser, visitor: Browser) -> None:
    publish(editor, "/admin/pages/add/home/homepage/3/", "Djangology", "djangology")
    page = visitor.get("/djangology/")
    assert page.status == 200
    assert "Djangology" in page.text
    moved = visitor.get("/djangology")
    assert (moved.status, moved["location"]) == (301, "/djangology/")
    assert "Djangology" in visitor.get("/search/", params={"query": "Djangology"}).text
    assert "Djangology" in editor.get("/admin/pages/search/", params={"q": "Djangology"}).text


def test_page_that_is_not_valid(editor: Browser) -> None:
    editor.get("/admin/pages/add/home/homepage/3/")
    answer = editor.submit("/admin/pages/add/home/homepage/3/", {"title": "", "slug": "\u00fc"})
    assert answer.status == 200
    assert "could not be created due to validation errors" in answer.text


def test_preview(editor: Browser) -> None:
    path = "/admin/pages/3/edit/preview/"
    editor.get("/admin/pages/3/edit/")
    said = editor.submit(path, {"title": "Minor swing", "slug": "home"})
    assert json.loads(said.text)["is_valid"] is True
    assert "Minor swing" in editor.get(f"{path}?mode=").text


def test_document(editor: Browser, visitor: Browser) -> None:
    editor.get("/admin/documents/add/")
    text = b"line\r\n" * 50_000
    answer = editor.submit(
        "/admin/documents/add/",
        {"title": "Notes", "collection": "1", "tags": ""},
        files={"file": ("lines.txt", text, "text/plain")},
    )
    [path] = re.findall(r'"(/documents/\d+/lines\.txt)"', editor.follow(answer).text)
    document = visitor.get(path)
    assert (document.status, document.body) == (200, text)
    assert "lines.txt" in document["content-disposition"]
    assert visitor.get(path, headers={"If-None-Match": document["etag"]}).status == 304
    visitor.get(path, headers={"Range": "bytes=0-9"})
    visitor.ask("HEAD", path)


@pytest.mark.parametrize(
    "path",
    [
        "/admin/pages/",
        "/admin/pages/3/",
        "/admin/pages/3/history/",
        "/admin/pages/3/usage/",
        "/admin/images/chooser/",
        "/admin/documents/",
        "/admin/users/",
        "/admin/users/add/",
        "/admin/groups/",
        "/admin/collections/",
        "/admin/redirects/",
        "/admin/sites/",
        "/admin/workflows/list/",
        "/admin/reports/site-history/",
        "/admin/reports/locked/",
        "/admin/reports/locked/?export=csv",
        "/admin/account/",
        "/admin/styleguide/",
        "/admin/jsi18n/",
        "/admin/sprite/",
        "/admin/api/main/pages/3/",
        "/admin/no-such-page/",
        "/admin/pages/999/edit/",
        "/django-admin/",
        "/django-admin/auth/user/",
        "/django-admin/auth/user/?q=editor&o=-1",
        "/django-admin/auth/user/1/change/",
        "/django-admin/jsi18n/",
    ],
)
def test_admin_pages(editor: Browser, path: str) -> None:
    assert editor.get(path).status in {200, 302, 404}
