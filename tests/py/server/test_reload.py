"""``manage.py serve --reload``."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from projects import PATIENCE_SECONDS, Project, Served, alive, children, wait_for

Serve = Callable[..., Served]

# Of the time that a start takes, on this machine and under its load; a restart takes about half.
RESTART_STARTS_MAX = 3

# The second time that they are loaded, the views wait for the test.
LOADS_WHEN_LET = """
def come_when_let():
    if note("loaded-once").exists():
        note("loading").touch()
        while not note("let-in").exists():
            time.sleep(0.01)
    note("loaded-once").touch()
come_when_let()
"""


def answers(served: Served, text: str, path: str = "/") -> Callable[[], bool]:
    def look() -> bool:
        try:
            return served.get(path) == (200, text)
        except ConnectionResetError:  # cut off by the restart, after DRAIN_SECONDS
            return False

    return look


def test_code_changes_are_taken_up(serve: Serve, project: Project) -> None:
    began = time.monotonic()
    served = serve()
    assert served.text() == "one"
    start_seconds = time.monotonic() - began
    parent, first = served.process.pid, served.text("/pid")
    project.replace("urls.py", '"one"', '"two"')
    began = time.monotonic()
    wait_for(answers(served, "two"), explain=served.errors)
    assert time.monotonic() - began < RESTART_STARTS_MAX * start_seconds
    assert served.text("/pid") != first
    assert children(parent) == [int(served.text("/pid"))]
    assert "urls.py changed: restarting" in served.errors()
    assert served.stop() == 0


def test_requests_wait_through_a_restart(serve: Serve, project: Project) -> None:
    project.append("urls.py", LOADS_WHEN_LET)
    served = serve()
    assert served.text() == "one"
    project.replace("urls.py", '"one"', '"two"')
    wait_for((project.folder / "loading").exists, explain=served.errors)
    connection = served.connect()
    connection.request("GET", "/")
    project.write("let-in", "")
    assert connection.getresponse().read() == b"two"
    connection.close()


@pytest.mark.parametrize(
    ("name", "mistake", "words"),
    [
        ("urls.py", "\ndef broken(:\n", "SyntaxError"),
        ("urls.py", "\nurlpatterns.append(undefined)\n", "NameError"),
        ("settings.py", "\nDEBUG = = 1\n", "SyntaxError"),
        ("settings.py", "\nSTATIC_URL = 'no-slash'\n", "must end with a slash"),
        ("settings.py", "\nQUINTETTE = {'X': 1}\n", "unknown key 'X'"),
    ],
)
def test_mistakes_are_shown_and_survived(
    serve: Serve, project: Project, name: str, mistake: str, words: str
) -> None:
    served = serve()
    good = (project.folder / name).read_text()
    project.write(name, good + mistake)
    wait_for(lambda: "Waiting for a change" in served.errors(), explain=served.errors)
    assert words in served.errors()
    # Asked while it is broken, answered once it is mended.
    connection = served.connect()
    connection.request("GET", "/")
    project.write(name, good + "\n")
    response = connection.getresponse()
    assert (response.status, response.read()) == (200, b"one")
    connection.close()


@pytest.mark.parametrize("name", ["urls.py", "shop/models.py"])
def test_mistakes_at_the_very_start(serve: Serve, project: Project, name: str) -> None:
    project.write("shop/__init__.py", "")
    project.write("shop/models.py", "")
    project.replace("settings.py", '["quintette", ', '["quintette", "shop", ')
    good = (project.folder / name).read_text()
    project.write(name, good + "\ndef broken(:\n")
    served = serve(wait=False)
    wait_for(lambda: "Waiting for a change" in served.errors(), explain=served.errors)
    assert "SyntaxError" in served.errors()
    project.write(name, good)
    served.wait_for_url()
    assert served.text() == "one"


def test_a_module_that_is_new_is_watched(serve: Serve, project: Project) -> None:
    served = serve()
    project.write("extra.py", "TEXT = 'extra'\n")
    project.append("urls.py", "\nfrom extra import TEXT\n")
    wait_for(answers(served, "extra"), explain=served.errors)
    project.write("extra.py", "TEXT = 'more'\n")
    wait_for(answers(served, "more"), explain=served.errors)


def test_templates_need_no_restart(serve: Serve, project: Project) -> None:
    project.write("templates/page.html", "old")
    served = serve()
    assert served.text("/page") == "old"
    pid = served.text("/pid")
    project.write("templates/page.html", "new")
    wait_for(answers(served, "new", "/page"), explain=served.errors)
    assert served.text("/pid") == pid


def test_a_slow_request_does_not_hold_a_restart_back(serve: Serve, project: Project) -> None:
    served = serve()
    with ThreadPoolExecutor() as pool:
        try:
            slow = pool.submit(served.get, "/held", 10 * PATIENCE_SECONDS)
            wait_for(project.has_begun)
            project.replace("urls.py", '"one"', '"two"')
            wait_for(answers(served, "two"), explain=served.errors)
        finally:
            project.go_on()
        assert isinstance(slow.exception(), ConnectionResetError)


def test_a_connection_that_was_made_before_a_restart_is_answered(
    serve: Serve, project: Project
) -> None:
    """The request of a client that had only connected may be under way: a drain waits for it."""
    project.append(
        "settings.py", "from quintette.server import reloader\nreloader.DRAIN_SECONDS = 600\n"
    )
    served = serve()
    parent, child = served.process.pid, int(served.text("/pid"))
    with ThreadPoolExecutor() as pool:
        try:
            slow = pool.submit(served.get, "/held", 10 * PATIENCE_SECONDS)
            connection = served.connect()
            connection.connect()
            wait_for(project.has_begun)
            listening = sockets(parent) & sockets(child)
            assert listening
            project.replace("urls.py", '"one"', '"two"')
            wait_for(lambda: not listening & sockets(child), explain=served.errors)  # it drains
            connection.request("GET", "/")
            assert connection.getresponse().read() == b"one"
            connection.close()
        finally:
            project.go_on()
        assert slow.result() == (200, "held")


def sockets(pid: int) -> set[str]:
    found = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            found.add(os.readlink(descriptor))
    return {name for name in found if name.startswith("socket:")}


def test_watching_costs_little(serve: Serve) -> None:
    served = serve()
    served.text()

    def cpu_seconds() -> float:
        stat = Path(f"/proc/{served.process.pid}/stat").read_text()
        fields = stat.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    before, began = cpu_seconds(), time.monotonic()
    time.sleep(2)
    assert cpu_seconds() - before < 0.15 * (time.monotonic() - began)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopping(serve: Serve, number: int) -> None:
    served = serve()
    child = int(served.text("/pid"))
    assert served.stop(number) == 0
    assert not alive(child)


def test_the_child_does_not_outlive_its_parent(serve: Serve) -> None:
    served = serve()
    child = int(served.text("/pid"))
    served.process.kill()
    served.process.wait()
    wait_for(lambda: not alive(child))
