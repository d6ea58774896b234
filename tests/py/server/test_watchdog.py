"""What holds the event loop of a worker is reported, once, with its name and where it was."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from projects import PATIENCE_SECONDS, Project, Served, wait_for

from quintette._quintette import Poller, Watchdog
from quintette.server.watchdog import watching

SETTINGS = """
QUINTETTE = {"SYNC_VIEWS": "greenlet", "LOG_FORMAT": "json", %s}
"""
# What is short is a twentieth of it and what is long twice as much, so that a machine with other
# things to do makes neither of the other.
WATCHDOG_MS = 250
URLS = """
import asyncio, ctypes, os, time
from django.http import HttpResponse
from django.urls import include, path
from quintette import API

api = API()
done = HttpResponse

def sleeps(request, number):
    time.sleep(0.5)
    return done()

async def asleeps(request):
    await asyncio.sleep(0)
    time.sleep(0.5)
    return done()

def spins(request):
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        pass
    return done()

def keeps_the_gil(request):
    ctypes.PyDLL(None).usleep(500_000)
    return done()

def twice(request):
    time.sleep(0.5)
    from quintette.concurrency import sleep
    sleep(0.01)
    time.sleep(0.5)
    return done()

async def calls_back(request):
    asyncio.get_running_loop().call_soon(time.sleep, 0.6)
    await asyncio.sleep(0.01)
    return done()

async def many_callbacks(request):
    async def short():
        time.sleep(0.005)
    await asyncio.gather(*[short() for _ in range(100)])
    return done()

def short(request):
    time.sleep(0.01)
    return done()

def waits(request):
    from quintette.concurrency import sleep
    sleep(0.6)
    return done()

def tasks(request):
    return done(len(os.listdir("/proc/self/task")))

@api.get("/typed")
async def typed() -> int:
    time.sleep(0.5)
    return 1

@api.get("/plain")
def plain() -> int:
    time.sleep(0.5)
    return 1

urlpatterns = [
    path("sleeps/<int:number>", sleeps), path("asleeps", asleeps), path("spins", spins),
    path("keeps-the-gil", keeps_the_gil), path("twice", twice), path("calls-back", calls_back),
    path("many-callbacks", many_callbacks), path("short", short), path("waits", waits),
    path("tasks", tasks), path("api/", api.urls),
]
"""


def serve(folder: Path, setting: str) -> Served:
    project = Project(folder)
    project.append("settings.py", SETTINGS % setting)
    project.write("urls.py", URLS)
    served = Served(project, "--noreload")
    served.wait_for_url()
    return served


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Any:
    running = serve(tmp_path_factory.mktemp("watchdog"), f'"WATCHDOG_MS": {WATCHDOG_MS}')
    yield running
    running.stop()


def reports(served: Served) -> list[dict[str, Any]]:
    lines = [line for line in served.errors().splitlines() if '"quintette.loop"' in line]
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize(
    ("url", "name", "line", "count"),
    [
        ("/sleeps/7", "GET /sleeps/<int:number>", "in sleeps", 1),
        ("/asleeps", "GET /asleeps", "in asleeps", 1),
        ("/spins", "GET /spins", "in spins", 1),
        ("/keeps-the-gil", "GET /keeps-the-gil", "in keeps_the_gil", 1),
        ("/twice", "GET /twice", "in twice", 2),
        ("/api/typed", "urls.typed", "in typed", 1),
        ("/api/plain", "urls.plain", "in plain", 1),
        ("/calls-back", "A callback", "", 1),
    ],
)
def test_is_reported_once(served: Served, url: str, name: str, line: str, count: int) -> None:
    before, began = len(reports(served)), time.monotonic()
    assert served.get(url)[0] == 200
    wait_for(lambda: len(reports(served)) >= before + count, explain=served.errors)
    took_ms = 1000 * (time.monotonic() - began)
    assert served.get("/short")[0] == 200  # whatever comes late has come by then
    time.sleep(0.1)
    found = reports(served)[before:]
    assert [report["view"] for report in found] == [name] * count
    for report in found:
        assert report["level"] == "warning"
        assert WATCHDOG_MS <= report["held_ms"] <= took_ms
        assert line in report["message"]
        assert "runner.py" not in report["message"]


@pytest.mark.parametrize("url", ["/short", "/waits", "/many-callbacks"])
def test_short_ones_and_waiting_are_not_reported(served: Served, url: str) -> None:
    before = len(reports(served))
    for _ in range(20 if url == "/short" else 2):
        assert served.get(url)[0] == 200
    time.sleep(0.1)
    assert reports(served)[before:] == []


@pytest.mark.parametrize("value", ["0", "None"])
def test_off_means_no_thread(served: Served, tmp_path: Path, value: str) -> None:
    other = serve(tmp_path, f'"WATCHDOG_MS": {value}')
    try:
        assert int(other.text("/tasks")) == int(served.text("/tasks")) - 1
        assert other.get("/sleeps/1")[0] == 200
        time.sleep(0.1)
        assert reports(other) == []
    finally:
        other.stop()


def test_one_at_a_time_and_its_thread_ends() -> None:
    def tasks() -> set[str]:
        return set(os.listdir("/proc/self/task"))

    poller, before = Poller(), tasks()
    with watching(poller, 50):
        (its,) = tasks() - before
        with pytest.raises(RuntimeError, match="at work already"), watching(poller, 50):
            pass
    wait_for(lambda: its not in tasks())  # the kernel takes it off the list after it was joined
    with watching(poller, None):
        assert not tasks() - before


def test_what_never_ends_is_reported_before_its_end() -> None:
    """In five seconds, once; and counted at its end."""
    told: list[tuple[float, bool]] = []
    heard = threading.Event()

    def report(_seen: object, seconds: float, over: bool) -> None:
        told.append((seconds, over))
        heard.set()

    poller = Poller()
    frame = object()
    watchdog = Watchdog(poller, 20, lambda *_: None, lambda _: frame, report)
    watchdog.start()
    try:
        assert heard.wait(PATIENCE_SECONDS)  # this thread never waits in the poller
    finally:
        watchdog.stop()
    ((seconds, over),) = told
    assert seconds > 5
    assert not over
