"""``manage.py serve`` as an operator meets it."""

from __future__ import annotations

import http.client
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Self
from urllib.parse import urlsplit

import pytest
from projects import PATIENCE_SECONDS, Project, Served, alive, children, wait_for

Serve = Callable[..., Served]


# --- starting


def test_serves_and_stops(serve: Serve) -> None:
    served = serve("--noreload")
    assert served.text() == "one"
    workers = children(served.process.pid)
    assert [str(worker) for worker in workers] == [served.text("/pid")]
    assert served.stop() == 0
    assert not any(alive(worker) for worker in workers)
    assert "Traceback" not in served.errors()


def test_async_views(serve: Serve) -> None:
    assert serve("--noreload").text("/apid").isdigit()


def test_access_log(serve: Serve) -> None:
    served = serve("--noreload")
    served.get("/?q=1")
    served.get("/nowhere")
    served.stop()
    lines = [(line["target"], line["status"], line["bytes"]) for line in served.access_lines()]
    assert lines[0] == ("/?q=1", 200, 3)
    assert lines[1][:2] == ("/nowhere", 404)


def test_no_access_log(serve: Serve) -> None:
    served = serve("--noreload", "--no-access-log")
    served.get("/")
    served.stop()
    assert served.access_lines() == []


def test_banner(serve: Serve) -> None:
    served = serve("--noreload", "--log-format", "text")
    served.stop()
    for words in ("Quintette", "Django", "settings (DEBUG)", "1 with", "Ctrl-C", "2 views on the"):
        assert words in served.errors()


@pytest.mark.parametrize(
    ("arguments", "change", "words"),
    [
        (["nonsense:port"], "", '"nonsense:port" is not a valid port number or address:port'),
        (["70000"], "", "70000 is not a port number"),
        (["203.0.113.1:8150"], "", "203.0.113.1 is no address of this machine"),
        (["--workers", "0"], "", "'0' is not a number from 1 to 1024"),
        (["--threads", "9999"], "", "'9999' is not a number from 1 to 1024"),
        (["--drain-seconds", "inf"], "", "'inf' is not a number from 0 to 86400"),
        (["--drain-seconds", "soon"], "", "'soon' is not a number from 0 to 86400"),
        (["--workers", "2", "--reload"], "", "--reload works with one worker"),
        ([], "QUINTETTE = {'WORKER': 2}", "unknown key 'WORKER'. Did you mean 'WORKERS'?"),
        ([], "QUINTETTE = {'THREADS': 'many'}", "QUINTETTE['THREADS']: expected int"),
        ([], "DEBUG = False; ALLOWED_HOSTS = []", "ALLOWED_HOSTS is empty"),
        (["--noreload"], "ROOT_URLCONF = 'missing'", "No module named 'missing'"),
        (["--noreload"], "STATIC_URL = 'no-slash'", "must end with a slash"),
        (["--noreload"], "QUINTETTE = {'SERVE_STATIC': True}", "STATIC_ROOT is not set"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_mistakes_are_told(project: Project, arguments: list[str], change: str, words: str) -> None:
    project.append("settings.py", change)
    result = project.fail(*(arguments or ["127.0.0.1:0"]))
    assert result.returncode != 0
    assert words in result.stderr
    if "ROOT_URLCONF" not in change:
        assert "Traceback" not in result.stderr


def test_port_in_use_names_the_process(serve: Serve, project: Project) -> None:
    served = serve("--noreload")
    port = str(urlsplit(served.url).port)
    for workers in ("1", "2"):
        result = project.fail(port, "--noreload", "--workers", workers)
        assert result.returncode == 1
        assert f"127.0.0.1:{port} is already in use by process" in result.stderr
        assert "manage.py serve" in result.stderr
        assert "Traceback" not in result.stderr
    assert served.text() == "one"


# --- stopping


# Ten minutes of drain: whoever waits for its end does not see this test's end.
LONG_DRAIN = ("--drain-seconds", "600")


@contextmanager
def held_request(served: Served, project: Project, path: str) -> Iterator[Future[tuple[int, str]]]:
    """A request that its view has in hand until the project goes on, or its connection is cut."""
    with ThreadPoolExecutor() as pool:
        try:
            answer = pool.submit(served.get, path, 10 * PATIENCE_SECONDS)
            wait_for(project.has_begun, explain=served.errors)
            yield answer
        finally:
            project.go_on()


@pytest.mark.parametrize("path", ["/held", "/aheld"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_requests_in_flight_are_finished(
    serve: Serve, project: Project, path: str, number: int
) -> None:
    served = serve("--noreload", *LONG_DRAIN)
    with held_request(served, project, path) as answer:
        served.process.send_signal(number)
        wait_for(served.refuses)
        assert not answer.done()
        project.go_on()
        assert answer.result() == (200, "held")
    assert served.process.wait(PATIENCE_SECONDS) == 0


def test_a_second_signal_does_not_wait(serve: Serve, project: Project) -> None:
    served = serve("--noreload", *LONG_DRAIN)
    with held_request(served, project, "/aheld") as answer:
        served.process.send_signal(signal.SIGTERM)
        wait_for(served.refuses)
        assert served.process.poll() is None
        assert served.stop() == 0
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            answer.result()


@pytest.mark.parametrize("path", ["/held", "/aheld"])
def test_draining_has_an_end(serve: Serve, project: Project, path: str) -> None:
    served = serve("--noreload", "--drain-seconds", "0.3")
    with held_request(served, project, path) as answer:
        assert served.stop() == 0
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            answer.result()
    assert "Requests cut off when the server stopped: 1" in served.errors()


def test_idle_connections_do_not_hold_a_stop_back(serve: Serve) -> None:
    served = serve("--noreload", *LONG_DRAIN)
    connection = served.connect()
    connection.request("GET", "/")
    connection.getresponse().read()
    assert served.stop() == 0
    connection.close()


# --- workers


class Load:
    """Requests without a pause; what was not answered is kept."""

    def __init__(self, served: Served) -> None:
        self.failures: list[Any] = []
        self.count = 0
        self._served = served
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                assert self._served.get("/")[0] == 200
                self.count += 1
            except Exception as error:
                self.failures.append(error)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_worker_is_replaced(serve: Serve, workers: int) -> None:
    served = serve("--noreload", "--workers", str(workers))
    before = served.pids(workers)
    victim = min(before)
    with Load(served) as load:
        wait_for(lambda: load.count > 0)
        os.kill(victim, signal.SIGKILL)
        wait_for(lambda: len(set(children(served.process.pid)) - {victim}) == workers)
        so_far = load.count
        wait_for(lambda: load.count > so_far + 20)
    # What the worker was answering when it died is lost; nothing is refused.
    assert len(load.failures) <= 1
    assert not any(isinstance(error, ConnectionRefusedError) for error in load.failures)
    after = served.pids(workers)
    assert victim not in after
    assert len(after & before) == workers - 1
    assert not alive(victim)
    assert f"(pid {victim}) was ended by SIGKILL" in served.errors()


def test_rolling_restart(serve: Serve) -> None:
    served = serve("--noreload", "--workers", "2")
    before = served.pids(2)
    with Load(served) as load:
        served.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "All workers were restarted" in served.errors())
        wait_for(lambda: not any(alive(pid) for pid in before))
    assert load.failures == []
    assert load.count > 0
    assert not served.pids(2) & before


def test_workers_do_not_outlive_their_parent(serve: Serve) -> None:
    served = serve("--noreload", "--workers", "2")
    workers = served.pids(2)
    served.process.kill()
    served.process.wait()
    wait_for(lambda: not any(alive(worker) for worker in workers))


def test_a_worker_that_keeps_dying_is_restarted_ever_more_slowly(
    serve: Serve, project: Project
) -> None:
    project.append(
        "urls.py",
        "import threading\n"
        "from django.core.signals import request_started\n"
        "def die(**kwargs):\n    os._exit(7)\n"
        "request_started.connect(die)\n",
    )
    served = serve("--noreload")
    for _ in range(4):
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            served.get("/")
    wait_for(lambda: served.errors().count("ended with status 7; restarting it") == 4)
    assert served.process.poll() is None


def test_workers_that_cannot_start_end_the_command(project: Project) -> None:
    # In the parent all is well; only a worker finds that no thread may be started.
    project.append(
        "urls.py",
        "import threading\n"
        "from quintette.server import runner\n"
        "PARENT = os.getpid()\n"
        "def broken(*args, **kwargs):\n"
        "    raise RuntimeError('no such luck')\n"
        "runner._quintette = type('Broken', (), {\n"
        "    '__getattr__': lambda self, name: broken if name == 'ThreadPool'"
        " else getattr(__import__('quintette._quintette', fromlist=['x']), name)})()\n",
    )
    result = project.fail("127.0.0.1:0", "--noreload", "--workers", "2")
    assert result.returncode == 1
    assert "no such luck" in result.stderr
    assert "did not start; see the error above. Stopping." in result.stderr


# --- static files


def test_static_files_in_production(serve: Serve, project: Project) -> None:
    project.write("root/css/site.css", "body {}")
    project.append(
        "settings.py",
        "DEBUG = False\nSTATIC_ROOT = HERE / 'root'\n"
        "QUINTETTE = {'STATIC_CACHE_CONTROL': 'max-age=60'}\n",
    )
    served = serve("--noreload")
    assert served.text("/static/css/site.css") == "body {}"
    connection = served.connect()
    connection.request("GET", "/static/css/site.css")
    assert connection.getresponse().headers["Cache-Control"] == "max-age=60"
    connection.close()
    assert served.get("/static/../settings.py")[0] in {400, 404}
    assert served.get("/static/%2e%2e/settings.py")[0] in {400, 404}
    assert served.get("/static/missing.css")[0] == 404


def test_static_files_in_development(serve: Serve, project: Project) -> None:
    project.write("assets/site.css", "body {}")
    project.append("settings.py", "STATICFILES_DIRS = [HERE / 'assets']\n")
    served = serve("--noreload")
    assert served.text("/static/site.css") == "body {}"
    assert served.get("/static/../settings.py")[0] == 400
    assert served.get("/static/%00")[0] == 404
    assert serve("--noreload", "--nostatic").get("/static/site.css")[0] == 404


def test_media_only_when_asked_for(serve: Serve, project: Project) -> None:
    project.write("media/a.txt", "mine")
    project.append("settings.py", "MEDIA_ROOT = HERE / 'media'\nMEDIA_URL = '/media/'\n")
    assert serve("--noreload").get("/media/a.txt")[0] == 404
    project.append("settings.py", "QUINTETTE = {'SERVE_MEDIA': True}\n")
    assert serve("--noreload").text("/media/a.txt") == "mine"
