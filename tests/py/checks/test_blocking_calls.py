"""Calls that block the event loop, found by reading the project's code."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]

HEAD = """
import asyncio, functools, os, queue, shutil, socket, subprocess, threading, time
import time as clock
import urllib.request
from time import sleep
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.auth.models import User
from django.core.cache import cache
from django.core.mail import send_mail
from django.db import transaction
from django.shortcuts import get_object_or_404
from django.http import HttpResponse
from django.urls import path
from quintette import API, Depends, in_loop

QUEUE = queue.Queue()
EVENT = threading.Event()
SHORT = functools.partial(time.sleep, 1)

async def later():
    return 1

AWAIT = async_to_sync(later)

def helper():
    time.sleep(1)  # in helper

def deeper():
    helper()

@functools.cache
def cached():
    time.sleep(1)  # in cached

def in_a_thread(function):
    @functools.wraps(function)
    async def wrapper(*args):
        return await asyncio.to_thread(function, *args)
    return wrapper

@in_a_thread
def moved():
    time.sleep(1)

api = API()
"""
TAIL = "\nurlpatterns = [path('api/', api.urls)]\n"


def handler(body: str, name: str = "x") -> str:
    head = f"@api.get('/{name}')\nasync def {name}(n: int = 0) -> dict:"
    return f"{head}\n    {body}\n    return {{}}\n"


def asynchronous(*bodies: str) -> str:
    handlers = [handler(body, f"x{number}") for number, body in enumerate(bodies)]
    return "\n".join([HEAD, *handlers, TAIL])


def told(run: Any) -> list[tuple[str, str]]:
    """(code of the line, what is said of it), of each warning."""
    return re.findall(r"\?: \(quintette\.W020\) urls\.py:(\d+): (.*)", run.stderr + run.stdout)


BLOCKS = [
    ("time.sleep(1)", "time.sleep()", "asyncio.sleep"),
    ("clock.sleep(1)", "clock.sleep()", "asyncio.sleep"),
    ("sleep(1)", "sleep()", "asyncio.sleep"),
    ("from time import sleep as pause; pause(1)", "pause()", "asyncio.sleep"),
    ("import time as t; t.sleep(1)", "t.sleep()", "asyncio.sleep"),
    ("subprocess.run(['true'])", "subprocess.run()", "create_subprocess_exec"),
    ("os.system('true')", "os.system()", "create_subprocess_exec"),
    ("urllib.request.urlopen('http://a')", "urllib.request.urlopen()", "httpx.AsyncClient"),
    ("socket.create_connection(('a', 1))", "socket.create_connection()", "open_connection"),
    ("shutil.rmtree('x')", "shutil.rmtree()", "to_thread"),
    ("input()", "input()", "to_thread"),
    ("send_mail('a', 'b', 'c', [])", "send_mail()", "sync_to_async"),
    ("EVENT.wait()", "EVENT.wait()", "asyncio.Event"),
    ("QUEUE.get()", "QUEUE.get()", "asyncio.Queue"),
    ("async_to_sync(later)()", "async_to_sync(...)()", "Await"),
    ("AWAIT()", "AWAIT()", "Await"),
    ("User.objects.get(pk=1)", "User.objects.get()", "aget"),
    ("User.objects.filter(pk=1).first()", "User.objects.filter(...).first()", "afirst"),
    ("list(User.objects.all())", "list()", "async for"),
    ("[u for u in User.objects.filter(pk=1)]", "User.objects.filter(...)", "async for"),
    ("for u in User.objects.all(): pass", "User.objects.all()", "async for"),
    ("get_object_or_404(User, pk=1)", "get_object_or_404()", "aget_object_or_404"),
    ("with transaction.atomic(): pass", "transaction.atomic()", "async with"),
    ("if n:\n        with open('x'):\n            time.sleep(1)", "time.sleep()", "asyncio.sleep"),
    ("def inner():\n        time.sleep(1)\n    inner()", "time.sleep()", "asyncio.sleep"),
]  # fmt: skip


def test_blocks(manage: Run) -> None:
    """Each body once, all in one project."""
    run = manage("check", urls=asynchronous(*(body for body, _, _ in BLOCKS)))
    pattern = r"(\S+ blocks|for .*? blocks) the event loop in urls\.x(\d+)\.\n\s*HINT: (.*)"
    found = {int(number): (what, hint) for what, number, hint in re.findall(pattern, run.stderr)}
    for number, (body, what, hint) in enumerate(BLOCKS):
        assert what in found[number][0], body
        assert hint in found[number][1], body
    assert len(told(run)) == len(BLOCKS)


def test_a_coroutine_is_followed(manage: Run) -> None:
    other = "\nasync def other():\n    time.sleep(1)\n"
    urls = asynchronous("await asyncio.gather(other())").replace(
        "\napi = API", f"{other}\napi = API"
    )
    [(_, text)] = told(manage("check", urls=urls))
    assert "in urls.other, which runs there for urls.x0" in text


FINE = [
    "await asyncio.sleep(1)",
    "await asyncio.to_thread(time.sleep, 1)",
    "await sync_to_async(time.sleep)(1)",
    "await sync_to_async(lambda: time.sleep(1))()",
    "await sync_to_async(helper)()",
    "await asyncio.get_running_loop().run_in_executor(None, helper)",
    "await moved()",
    "await User.objects.aget(pk=1)",
    "[u async for u in User.objects.filter(pk=1)]",
    "async for u in User.objects.all(): pass",
    "User.objects.filter(pk=1).order_by('pk')",
    "async with transaction.atomic(): pass",
    "cache.get('in memory')",
    "time.monotonic()",
    "def inner():\n        time.sleep(1)\n    await asyncio.to_thread(inner)",
    "sleep = asyncio.sleep; await sleep(1)",
    "time = n; time.sleep(1)",
    "time.sleep(0)  # quintette: allow-blocking",
    "time.sleep(\n        0,  # quintette: allow-blocking\n    )",
    "list([1])",
    "len('abc')",
    "sorted([n])",
    "open(__file__).close()",
    "n.get(); n.first(); n.save()",
]


def test_does_not_block(manage: Run) -> None:
    run = manage("check", urls=asynchronous(*FINE))
    assert told(run) == []
    assert run.returncode == 0, run.stderr


def test_calls_are_followed(manage: Run) -> None:
    run = manage("check", urls=asynchronous("deeper()"))
    [(line, text)] = told(run)
    assert "in helper" in asynchronous("deeper()").splitlines()[int(line) - 1]
    assert "in urls.helper, which runs there for urls.x0" in text


def test_calls_are_followed_into_other_modules(manage: Run) -> None:
    urls = asynchronous("tools.wait_for_it()").replace("import asyncio,", "import tools, asyncio,")
    run = manage("check", urls=urls, tools="import time\n\ndef wait_for_it():\n    time.sleep(1)\n")
    assert "tools.py:4: time.sleep() blocks the event loop in tools.wait_for_it" in run.stderr


def test_a_caching_decorator_hides_nothing(manage: Run) -> None:
    [(line, _)] = told(manage("check", urls=asynchronous("cached()")))
    assert "in cached" in asynchronous("cached()").splitlines()[int(line) - 1]


def test_each_call_is_told_once(manage: Run) -> None:
    urls = asynchronous("helper()").replace(
        TAIL, f"\n@api.get('/y')\nasync def y() -> dict:\n    helper()\n    deeper()\n{TAIL}"
    )
    assert len(told(manage("check", urls=urls))) == 1


def test_a_cache_over_the_network(manage: Run, tmp_path: Path) -> None:
    settings = f"""
CACHES = {{"default": {{"BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
                      "LOCATION": {str(tmp_path / "cache")!r}}}}}
"""
    [(_, text)] = told(manage("check", urls=asynchronous("cache.get('x')"), settings=settings))
    assert "cache.get()" in text


DEPENDENT = """
{kind} dep() -> int:
    time.sleep(1)
    return 1

@api.get("/x")
async def x(n: int = Depends(dep)) -> dict:
    return {{}}
"""
HANDLER = """
@api.get("/x")
{marks}
    time.sleep(1)
    return {{}}
"""
PLACES = {
    "a synchronous handler": (HANDLER.format(marks="def x() -> dict:"), 0),
    "a handler in the loop": (HANDLER.format(marks="@in_loop\ndef x() -> dict:"), 1),
    "an asynchronous dependency": (DEPENDENT.format(kind="async def"), 1),
    "a synchronous dependency, which runs in a thread": (DEPENDENT.format(kind="def"), 0),
    "a function with leave": (
        HANDLER.format(marks="async def x() -> dict:  # quintette: allow-blocking"),
        0,
    ),
}


@pytest.mark.parametrize("name", PLACES)
def test_where_code_runs(manage: Run, name: str) -> None:
    code, count = PLACES[name]
    assert len(told(manage("check", urls=HEAD + code + TAIL))) == count


VIEWS = """
import time
from django.http import HttpResponse
from django.urls import path
from django.views import View

async def function(request):
    time.sleep(1)
    return HttpResponse()

def synchronous(request):
    time.sleep(1)
    return HttpResponse()

class Page(View):
    async def get(self, request):
        return self.answer()

    def answer(self):
        time.sleep(1)
        return HttpResponse()

urlpatterns = [
    path("function", function), path("synchronous", synchronous), path("page", Page.as_view())
]
"""
MIDDLEWARE = """
import time
from asgiref.sync import iscoroutinefunction
from django.utils.decorators import sync_and_async_middleware

@sync_and_async_middleware
def factory(get_response):
    if iscoroutinefunction(get_response):
        async def middleware(request):
            time.sleep(1)  # of the factory
            return await get_response(request)
    else:
        def middleware(request):
            time.sleep(1)
            return get_response(request)
    return middleware

class Both:
    async_capable = True
    sync_capable = True

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        time.sleep(1)
        return self.get_response(request)

    async def __acall__(self, request):
        time.sleep(1)  # of the class
        return await self.get_response(request)
"""


def test_views(manage: Run) -> None:
    found = told(manage("check", urls=VIEWS))
    assert {text.partition(" in ")[2] for _, text in found} == {
        "urls.function.",
        "urls.Page.answer, which runs there for urls.Page.get.",
    }


def test_middleware(manage: Run) -> None:
    run = manage(
        "check",
        urls="urlpatterns = []",
        settings='MIDDLEWARE = ["stack.factory", "stack.Both"]\n',
        stack=MIDDLEWARE,
    )
    lines = [int(line) for line in re.findall(r"stack\.py:(\d+):", run.stderr)]
    source = MIDDLEWARE.splitlines()
    comments = [source[line - 1].partition("#")[2].strip() for line in lines]
    assert sorted(comments) == ["of the class", "of the factory"]


def test_silenced(manage: Run) -> None:
    run = manage(
        "check",
        urls=asynchronous("time.sleep(1)"),
        settings='SILENCED_SYSTEM_CHECKS = ["quintette.W020"]\n',
    )
    assert told(run) == []
    assert "1 silenced" in run.stdout


def test_by_tag(manage: Run) -> None:
    run = manage("check", "--tag", "quintette", urls=asynchronous("time.sleep(1)"))
    assert len(told(run)) == 1
