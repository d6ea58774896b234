"""``serve --explain``, and wrong settings in ``manage.py check``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Run = Callable[..., Any]

URLS = """
from django.http import HttpResponse
from django.urls import path
from quintette import API
api = API()
@api.get("/x")
async def x() -> dict: return {}
@api.get("/kept")
async def kept(request) -> dict: return {}
async def view(request): return HttpResponse()
urlpatterns = [path("api/", api.urls), path("view", view)]
"""
STACK = "def plain(get_response):\n    return get_response\n"


def test_what_runs_where(manage: Run) -> None:
    settings = """
MIDDLEWARE = ["django.middleware.common.CommonMiddleware", "stack.plain"]
STATIC_URL = "/static/"
"""
    run = manage("serve", "--explain", urls=URLS, settings=settings, stack=STACK)
    assert run.returncode == 0, run.stderr
    lines = [line.strip() for line in run.stdout.splitlines()]
    assert lines[0] == "Typed routes"
    assert any(line.startswith("Python  GET /api/x (async): stack.plain") for line in lines)
    assert "native  1 on the event loop" in lines
    assert "native  django.middleware.common.CommonMiddleware" in lines
    assert any(line.startswith("Python  stack.plain: ") for line in lines)
    assert any(
        line.startswith("Python  default: django.db.backends.sqlite3: blocks") for line in lines
    )
    assert any(line.startswith("Python  /static/: ") for line in lines)


def test_routes_in_c(manage: Run) -> None:
    run = manage("serve", "--explain", urls=URLS)
    assert "  native  GET /api/x (async)\n" in run.stdout


def test_a_project_that_does_not_load_is_not_waited_for(manage: Run) -> None:
    settings = "DEBUG = True; INSTALLED_APPS += ['missing']\n"
    run = manage("serve", "--explain", urls=URLS, settings=settings)
    assert run.returncode == 1
    assert "No module named 'missing'" in run.stderr


def test_wrong_settings_that_the_urls_need_have_no_traceback(manage: Run) -> None:
    urls = URLS.replace("API()", "API(guards=[Cached(60)])").replace("API\n", "API, Cached\n")
    settings = "QUINTETTE = {'WORKER': 1, 'THREADS': 0}\n"
    run = manage("check", urls=urls.replace("(request)", "()"), settings=settings)
    assert run.returncode == 1
    assert "unknown key 'WORKER'. Did you mean 'WORKERS'?" in run.stderr
    assert "QUINTETTE['THREADS']" in run.stderr
    assert "Traceback" not in run.stderr


def test_all_wrong_settings_are_told(manage: Run) -> None:
    run = manage("check", urls=URLS, settings="QUINTETTE = {'WORKER': 1, 'THREADS': 0}\n")
    assert run.returncode == 1
    assert run.stderr.count("(quintette.E001)") == 2
    assert "Did you mean 'WORKERS'?" in run.stderr
