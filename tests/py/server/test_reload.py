"""``manage.py serve --reload``."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from projects import Project, Served, alive, children, wait_for

Serve = Callable[..., Served]

RELOAD_SECONDS = 3.0


def answers(served: Served, text: str, path: str = "/") -> Callable[[], bool]:
    def look() -> bool:
        try:
            return served.get(path) == (200, text)
        except ConnectionResetError:  # cut off by the restart, after DRAIN_SECONDS
            return False

    return look


def test_code_changes_are_taken_up(serve: Serve, project: Project) -> None:
    served = serve()
    assert served.text() == "one"
    parent, first = served.process.pid, served.text("/pid")
    project.replace("urls.py", '"one"', '"two"')
    began = time.monotonic()
    wait_for(answers(served, "two"), RELOAD_SECONDS, served.errors)
    assert time.monotonic() - began < RELOAD_SECONDS
    assert served.text("/pid") != first
    assert children(parent) == [int(served.text("/pid"))]
    assert "urls.py changed: restarting" in served.errors()
    assert served.stop() == 0


def test_requests_wait_through_a_restart(serve: Serve, project: Project) -> None:
    project.append("urls.py", "\ntime.sleep(0.5)\n")
    served = serve()
    project.replace("urls.py", '"one"', '"two"')
    texts = [served.text()]
    waits = []
    while texts[-1] != "two":
        began = time.monotonic()
        texts.append(served.text())
        waits.append(time.monotonic() - began)
        assert sum(waits) < 2 * RELOAD_SECONDS
    assert set(texts) == {"one", "two"}
    assert max(waits) > 0.4


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
    wait_for(lambda: "Waiting for a change" in served.errors(), RELOAD_SECONDS, served.errors)
    assert words in served.errors()
    with ThreadPoolExecutor() as pool:
        # Asked while it is broken, answered once it is mended.
        answer = pool.submit(served.get, "/")
        time.sleep(0.2)
        project.write(name, good + "\n")
        assert answer.result() == (200, "one")


@pytest.mark.parametrize("name", ["urls.py", "shop/models.py"])
def test_mistakes_at_the_very_start(serve: Serve, project: Project, name: str) -> None:
    project.write("shop/__init__.py", "")
    project.write("shop/models.py", "")
    project.replace("settings.py", '["quintette", ', '["quintette", "shop", ')
    good = (project.folder / name).read_text()
    project.write(name, good + "\ndef broken(:\n")
    served = serve(wait=False)
    wait_for(lambda: "Waiting for a change" in served.errors(), 20, served.errors)
    assert "SyntaxError" in served.errors()
    project.write(name, good)
    served.wait_for_url()
    assert served.text() == "one"


def test_a_module_that_is_new_is_watched(serve: Serve, project: Project) -> None:
    served = serve()
    project.write("extra.py", "TEXT = 'extra'\n")
    project.append("urls.py", "\nfrom extra import TEXT\n")
    wait_for(answers(served, "extra"), RELOAD_SECONDS, served.errors)
    project.write("extra.py", "TEXT = 'more'\n")
    wait_for(answers(served, "more"), RELOAD_SECONDS, served.errors)


def test_templates_need_no_restart(serve: Serve, project: Project) -> None:
    project.write("templates/page.html", "old")
    served = serve()
    assert served.text("/page") == "old"
    pid = served.text("/pid")
    project.write("templates/page.html", "new")
    wait_for(answers(served, "new", "/page"), RELOAD_SECONDS, served.errors)
    assert served.text("/pid") == pid


def test_a_slow_request_does_not_hold_a_restart_back(serve: Serve, project: Project) -> None:
    served = serve()
    with ThreadPoolExecutor() as pool:
        pool.submit(served.get, "/slow?s=5")
        time.sleep(0.2)
        project.replace("urls.py", '"one"', '"two"')
        began = time.monotonic()
        wait_for(answers(served, "two"), 5, served.errors)
        assert time.monotonic() - began < 4.5


def test_a_connection_that_was_made_before_a_restart_is_answered(
    serve: Serve, project: Project
) -> None:
    """The request of a client that had only connected may be under way: a drain waits for it."""
    served = serve()
    with ThreadPoolExecutor() as pool:
        slow = pool.submit(served.get, "/slow?s=5")  # the drain takes its whole time
        connection = served.connect()
        connection.connect()
        time.sleep(0.2)
        project.replace("urls.py", '"one"', '"two"')
        wait_for(lambda: "changed: restarting" in served.errors(), RELOAD_SECONDS)
        time.sleep(0.1)
        connection.request("GET", "/")
        assert connection.getresponse().read() == b"one"
        connection.close()
        assert isinstance(slow.exception(), ConnectionResetError)


def test_watching_costs_little(serve: Serve) -> None:
    served = serve()
    served.text()

    def cpu_seconds() -> float:
        stat = Path(f"/proc/{served.process.pid}/stat").read_text()
        fields = stat.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    before = cpu_seconds()
    time.sleep(2)
    assert cpu_seconds() - before < 0.3


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
