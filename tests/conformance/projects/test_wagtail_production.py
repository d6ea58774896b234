"""The same site with the settings that ``wagtail start`` makes for production: DEBUG is off, and
collected files with hashed names are served by Quintette, in C."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from served import manage
from test_wagtail import LINKED, NEEDS, RULES, USER, project
from twins import Browser, Twins, twins

pytestmark = pytest.mark.conformance

__all__ = ["NEEDS", "project"]  # what the fixtures of this module use

SETTINGS = "mysite.settings.production"
# Wagtail's settings read this file, which is each installation's own.
LOCAL = 'SECRET_KEY = "for tests"\nALLOWED_HOSTS = ["127.0.0.1"]\n'


@pytest.fixture(scope="module")
def site(project: Path) -> Iterator[Twins]:
    (project / "mysite" / "settings" / "local.py").write_text(LOCAL)
    manage(project, "collectstatic", "--noinput", f"--settings={SETTINGS}", "--verbosity=0")
    with twins(project, RULES, settings=SETTINGS) as both:
        yield both


@pytest.fixture
def visitor(site: Twins) -> Browser:
    return site.browser()


def test_pages(visitor: Browser) -> None:
    for path in ("/", "/search/?query=home", "/admin/login/"):
        assert visitor.get(path).status == 200
    missing = visitor.get("/no-such-page/")
    assert missing.status == 404
    assert "Sorry, this page could not be found." in missing.text
    assert visitor.get("/", headers={"Host": "evil.example"}).status == 400


def test_admin(visitor: Browser) -> None:
    visitor.get("/admin/login/")
    assert visitor.submit("/admin/login/", {**USER, "next": "/admin/"}).status == 302
    for path in ("/admin/", "/admin/pages/3/edit/", "/admin/images/", "/django-admin/"):
        assert visitor.get(path).status == 200


def test_collected_files(visitor: Browser, site: Twins, project: Path) -> None:
    """Django's own server has none of them in production, so these are ours alone."""
    page = visitor.get("/admin/login/")
    paths = [path for path in LINKED.findall(page.text) if path.startswith("/static/")]
    assert len(paths) > 5
    with site.ours_alone() as client:
        for path in paths:
            answer = client.get(path)
            name = path.removeprefix("/static/").partition("?")[0]
            assert re.search(r"\.[0-9a-f]{12}\.", name)
            assert answer.status_code == 200
            assert answer.content == (project / "static" / name).read_bytes()
            again = client.get(path, headers={"If-None-Match": answer.headers["etag"]})
            assert (again.status_code, again.content) == (304, b"")
            part = client.get(path, headers={"Range": "bytes=1-3"})
            assert (part.status_code, part.content) == (206, answer.content[1:4])
        assert client.get("/static/no-such-file.css").status_code == 404
