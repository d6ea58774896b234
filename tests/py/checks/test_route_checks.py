"""Routes that nobody reaches, and ``manage.py routes``."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

Run = Callable[..., Any]

VIEWS = """
from django.http import HttpResponse
from django.urls import include, path, re_path
from django.views.generic import TemplateView
from quintette import API, Router

def one(request, **kwargs): return HttpResponse("one")
def two(request, **kwargs): return HttpResponse("two")
class Page(TemplateView): template_name = "a"
async def three(request): return HttpResponse("three")

api = API()
@api.get("/cities/{pk:int}")
async def city(pk: int) -> dict: return {}
@api.get("/cities")
def cities() -> list[str]: return []
@api.post("/cities", name="create")
def create() -> dict: return {}
"""


def warnings(run: Any) -> list[tuple[str, str]]:
    return re.findall(r"\(quintette\.(W01\d)\) (.*)", run.stderr)


REACHED = [
    'path("a/", one), path("b/", two)',
    'path("a/", one), path("<slug:x>/", two)',
    'path("<int:x>/", one), path("<str:x>/", two)',
    'path("<int:x>/", one), path("<slug:x>/", two)',
    'path("<uuid:x>/", one), path("<slug:x>/", two)',
    'path("a/<str:x>", one), path("a/<path:x>", two)',
    'path("a/", one, name="first"), path("a/", one, name="second")',
    'path("a/", Page.as_view(), name="x"), path("a/", Page.as_view(), name="y")',
    're_path(r"^a/(\\d+)/$", one), path("a/<str:x>/", two)',
    'path("api/", api.urls), path("api/other", one)',
    'path("api/", api.urls), path("<path:rest>", one)',
    'path("x/", include([path("a", one)])), path("y/", include([path("a", two)]))',
]
UNREACHED = [
    ('path("a/", one), path("a/", two)', "W010", "/a/ stands twice", "urls.one"),
    ('path("<str:x>/", one), path("a/", two)', "W011", "/a/ (urls.two", "/<str:x>/ (urls.one"),
    ('path("<str:x>/", one), path("<int:x>/", two)', "W011", "/<int:x>/", "/<str:x>/"),
    ('path("<slug:x>/", one), path("<uuid:x>/", two)', "W011", "/<uuid:x>/", "/<slug:x>/"),
    ('path("<path:x>", one), path("a/b/", two)', "W011", "/a/b/", "/<path:x>"),
    ('re_path(r"^a/", one), path("a/b/", two)', "W011", "/a/b/", "/^a/"),
    ('path("x/", include([path("a", one)])), path("x/a", two)', "W010", "/x/a", "urls.one"),
    ('path("api/<path:x>", one), path("api/", include(([*api.urls[0][:1]], "a")))', "W011",
     "/api/cities/<int:pk> (urls.city", "/api/<path:x>"),
    ('path("api/", api.urls), path("api/cities/<int:n>", one)', "W011", "/api/cities/<int:n>",
     "(urls.city, urls.py:"),
]  # fmt: skip


@pytest.mark.parametrize("patterns", REACHED)
def test_reached(manage: Run, patterns: str) -> None:
    run = manage("check", urls=f"{VIEWS}\nurlpatterns = [{patterns}]\n")
    assert (warnings(run), run.returncode) == ([], 0), run.stderr


@pytest.mark.parametrize(("patterns", "code", "what", "by"), UNREACHED)
def test_unreached(manage: Run, patterns: str, code: str, what: str, by: str) -> None:
    run = manage("check", urls=f"{VIEWS}\nurlpatterns = [{patterns}]\n")
    [(found, text)] = warnings(run)
    assert (found, what in text, by in text) == (code, True, True), text
    assert "urls.py:" in text


def test_a_wrong_handler_names_its_line(manage: Run) -> None:
    run = manage(
        "check", urls=f"{VIEWS}\n@api.get('/x')\nasync def x(a: open) -> dict: return {{}}\n"
    )
    assert run.returncode != 0
    assert re.search(r"urls\.x \(.*urls\.py:\d+\): parameter 'a'", run.stderr), run.stderr


# --- manage.py routes

ROUTES = f"""{VIEWS}
from quintette.concurrency.views import waits_here
from quintette.api.guards import Hook
from quintette.auth import BasicAuth, IsStaff, ReadOnly
def late(request): return None
@api.get("/guarded", guards=[BasicAuth(), Hook(before=late), IsStaff | ~ReadOnly])
async def guarded() -> dict: return {{}}
@waits_here
def here(request): return HttpResponse("here")
urlpatterns = [
    path("", one, name="home"),
    path("three/", three),
    path("here/", here),
    path("api/", include((api.urls[0], "api"))),
    path("shop/", include(([path("api/<int:shop>/", one, name="index")], "shop"))),
    path("page/", TemplateView.as_view(template_name="x")),
    re_path(r"^old/(\\d+)/$", two),
]
"""


def rows(manage: Run, *arguments: str, settings: str = "") -> list[dict[str, Any]]:
    run = manage("routes", "--json", *arguments, urls=ROUTES, settings=settings)
    assert run.returncode == 0, run.stderr
    found: list[dict[str, Any]] = json.loads(run.stdout)
    return found


def test_rows(manage: Run) -> None:
    table = [
        (row["methods"], row["path"], row["name"], row["handler"]["name"], row["runs"], row["in_c"])
        for row in rows(manage)
    ]
    assert table == [
        ([], "/", "home", "urls.one", "thread", False),
        ([], "/three/", "", "urls.three", "async", False),
        ([], "/here/", "", "urls.here", "greenlet", False),
        (["GET"], "/api/cities/<int:pk>", "api:city", "urls.city", "async", True),
        (["GET"], "/api/guarded", "api:guarded", "urls.guarded", "async", True),
        (["GET"], "/api/cities", "api:cities", "urls.cities", "thread", True),
        (["POST"], "/api/cities", "api:create", "urls.create", "thread", True),
        ([], "/shop/api/<int:shop>/", "shop:index", "urls.one", "thread", False),
        (["GET", "HEAD"], "/page/", "", "django.views.generic.base.TemplateView", "thread", False),
        ([], r"/^old/(\d+)/$", "", "urls.two", "thread", False),
    ]


def test_places_and_guards(manage: Run) -> None:
    [row] = rows(manage, "guarded")
    guards = "[BasicAuth(), Hook(before=late), IsStaff | ~ReadOnly]"
    line = ROUTES.splitlines().index(f'@api.get("/guarded", guards={guards})') + 1
    assert row["handler"]["place"] == f"urls.py:{line}"
    assert row["guards"] == ["BasicAuth", "Hook", "IsStaff | ~ReadOnly"]


def test_what_is_not_in_c_says_why(manage: Run) -> None:
    found = rows(manage, "city", settings='MIDDLEWARE = ["stack.Unknown"]\n')
    assert [row["in_c"] for row in found] == [False]
    assert "stack.Unknown" in found[0]["reason"]


@pytest.mark.parametrize(
    ("match", "handler"),
    [
        ("/", "urls.one"),
        ("/api/cities/5", "urls.city"),
        ("HEAD /api/cities/5", "urls.city"),
        ("POST /api/cities", "urls.create"),
        ("get /api/cities?page=2", "urls.cities"),
        ("/old/7/", "urls.two"),
        ("DELETE /three/", "urls.three"),
    ],
)
def test_who_answers(manage: Run, match: str, handler: str) -> None:
    assert [row["handler"]["name"] for row in rows(manage, "--match", match)] == [handler]


@pytest.mark.parametrize(
    ("match", "words"),
    [
        ("/nowhere", "no pattern matches"),
        ("DELETE /api/cities", "does not take DELETE"),
        ("nowhere", "begins with a slash"),
    ],
)
def test_nobody_answers(manage: Run, match: str, words: str) -> None:
    run = manage("routes", "--match", match, urls=ROUTES)
    assert (run.returncode, words in run.stderr) == (1, True), run.stderr


def test_table(manage: Run) -> None:
    run = manage("routes", "cities", urls=ROUTES)
    lines = run.stdout.splitlines()
    assert lines[0].split() == ["METHODS", "PATH", "NAME", "HANDLER", "RUNS", "IN", "C"]
    line = ROUTES.splitlines().index('@api.get("/cities/{pk:int}")') + 1
    place = f"urls.py:{line}"
    assert lines[1].split()[:5] == ["GET", "/api/cities/<int:pk>", "api:city", "urls.city", place]
    assert lines[-1] == "3 routes, 3 typed, 3 of them in C"
