"""What is declared for the life of a worker, in real ones."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest
from projects import PATIENCE_SECONDS, Project, Served

Serve = Callable[..., Served]

HOOKS = """
import pathlib
from quintette import API, AfterResponse, Channel, EventStream, lifespan

LOG = pathlib.Path(__file__).with_name("life.log")
channel = Channel()
api = API()

def note(text):
    with LOG.open("a") as file:
        file.write(text + "\\n")

@lifespan.on_startup
async def begin():
    note("begin")

@api.lifespan
async def number():
    note("open")
    yield 7
    note("close")

@api.on_shutdown
def end():
    note("end")

@api.get("/number")
async def get_number() -> int:
    return number()

async def slowly():
    await asyncio.sleep(0.3)
    note("after")

@api.get("/after")
async def get_after(after: AfterResponse) -> int:
    after(slowly)
    return 1

@api.get("/events")
async def events() -> EventStream[str]:
    return EventStream(channel.subscribe())

@api.get("/clock")
async def clock() -> EventStream[int]:
    try:
        yield 1
        await asyncio.Event().wait()
    finally:
        note("left")

urlpatterns.append(path("", api.urls))
"""


def _notes(project: Project) -> list[str]:
    return (project.folder / "life.log").read_text().split()


def test_hooks_run_around_all_requests(serve: Serve, project: Project) -> None:
    project.append("urls.py", HOOKS)
    served = serve("--noreload")
    assert _notes(project) == ["begin", "open"]
    assert served.text("/number") == "7"
    assert served.stop() == 0
    assert _notes(project) == ["begin", "open", "end", "close"]


def test_a_stop_waits_for_work_behind_responses(serve: Serve, project: Project) -> None:
    project.append("urls.py", HOOKS)
    served = serve("--noreload")
    assert served.text("/after") == "1"
    assert served.stop() == 0
    assert _notes(project) == ["begin", "open", "after", "end", "close"]


@pytest.mark.parametrize(
    ("path", "data"), [("/events", b""), ("/clock", b"data: 1\n\n")], ids=["channel", "generator"]
)
def test_a_stop_ends_event_streams(serve: Serve, project: Project, path: str, data: bytes) -> None:
    """Whole, so that browsers connect again at once."""
    project.append("urls.py", HOOKS)
    served = serve("--noreload", "--drain-seconds", "600")
    connection = served.connect()
    connection.request("GET", path)
    response = connection.getresponse()
    assert response.status == 200
    assert not data or response.read(len(data)) == data
    served.process.send_signal(signal.SIGTERM)
    assert response.read() == b""
    if data:
        assert "left" in _notes(project)
    assert served.process.wait(PATIENCE_SECONDS) == 0
    connection.close()


@pytest.mark.parametrize("what", ["raise ValueError('no')", "await asyncio.sleep(600)"])
def test_a_worker_whose_hook_fails_does_not_serve(project: Project, what: str) -> None:
    seconds = 600 if "raise" in what else 0.2
    project.append("settings.py", f'QUINTETTE = {{"LIFESPAN_SECONDS": {seconds}}}\n')
    project.append("urls.py", HOOKS.replace('note("begin")', what))
    ended = project.fail("127.0.0.1:0", "--noreload")
    assert ended.returncode != 0
    assert ("ValueError: no" if "raise" in what else "TimeoutError") in ended.stderr
