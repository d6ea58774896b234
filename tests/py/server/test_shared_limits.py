"""Throttles and worker processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest
from projects import Project, Served

Serve = Callable[..., Served]

URLS = """
import os
from django.http import HttpResponse
from django.urls import path
from quintette import API
from quintette.traffic import Local, Throttle

api = API()

@api.get("shared", guards=[Throttle("6/h", store=Local(shared=True))])
async def shared() -> int:
    return os.getpid()

@api.get("each", guards=[Throttle("6/h")])
async def each() -> int:
    return os.getpid()

def pid(request):
    return HttpResponse(str(os.getpid()))

urlpatterns = [path("", api.urls), path("pid", pid)]
"""


@pytest.fixture
def served(serve: Serve, project: Project) -> Served:
    project.write("urls.py", URLS)
    return serve("--workers", "2")


def _let_in(served: Served, path: str, count: int) -> list[str]:
    """Which workers let a request in, each over a connection of its own."""
    answers = [served.get(path) for _ in range(count)]
    assert {status for status, _ in answers} <= {200, 429}
    return [text for status, text in answers if status == 200]


def test_one_budget_of_all_workers(served: Served) -> None:
    served.pids(2)
    assert len(_let_in(served, "/shared", 40)) == 6
    # One that dies takes nothing of it along, and the next one goes on with it.
    victim = served.pids(2).pop()
    os.kill(victim, signal.SIGKILL)
    while victim in served.pids(2):
        pass
    assert _let_in(served, "/shared", 20) == []


def test_or_one_of_each(served: Served) -> None:
    """The kernel chooses the worker: all of both are used up sooner or later."""
    seen: list[str] = []
    for _ in range(100):
        seen += _let_in(served, "/each", 10)
        if len(seen) == 12:
            break
    assert sorted(seen.count(pid) for pid in set(seen)) == [6, 6]
