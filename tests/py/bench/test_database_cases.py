"""The cases on a database: the data set, the checks of an answer and of its effect, who can run."""

from __future__ import annotations

import http.server
import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import __main__ as command
from bench import cases, database, database_cases, peers
from bench.apps.db import data, places
from bench.errors import UnavailableError
from bench.load.request import raw, wrk_script
from bench.load.round import BackEnds
from bench.peers import database as database_peers
from bench.server import Launch, Server

ROOT = Path(__file__).parents[3]
ON_SQLITE = [case for case in database_cases.CASES if case.database == database.SQLITE]

# Every case's answer by Django's own views, as {case: text}.
ANSWER_ALL = """
import json, sys
import django
django.setup()
from django.test import Client
answers = {}
for name, method, path, cookie in json.load(sys.stdin):
    client = Client(headers={"cookie": cookie} if cookie else {})
    response = client.generic(method, path)
    assert response.status_code == 200, (name, response.status_code)
    answers[name] = response.content.decode()
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def sqlite_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The data set in a file of the test's own, for this process and those that it starts."""
    path = tmp_path_factory.mktemp("bench") / "bench.sqlite3"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(places, "SQLITE_FILE", path)
        patch.setenv("BENCH_SQLITE_FILE", str(path))
        database.prepare(database.SQLITE)
        yield path


def answers_of_django(views: str, some: list[cases.Case]) -> dict[str, str]:
    requests = [(case.name, case.method, case.path, case.cookie) for case in some]
    chosen = {
        "DJANGO_SETTINGS_MODULE": "bench.apps.db.settings",
        "BENCH_MIDDLEWARE": "session",
        "BENCH_VIEWS": views,
    }
    done = subprocess.run(
        [sys.executable, "-c", ANSWER_ALL],
        input=json.dumps(requests),
        env=os.environ | database.environment(some[0].database) | chosen,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    answers: dict[str, str] = json.loads(done.stdout)
    return answers


@pytest.mark.slow
@pytest.mark.parametrize("views", ["sync", "async"])
def test_django_answers_every_case_from_the_data_set(sqlite_file: Path, views: str) -> None:
    before = database.counted(database.SQLITE)
    answers = answers_of_django(views, ON_SQLITE)
    wrong = {case.name: case.wrong(answers[case.name].encode()) for case in ON_SQLITE}
    assert wrong == dict.fromkeys(wrong)
    added = database.counted(database.SQLITE) - before
    assert added == sum(case.adds for case in ON_SQLITE) == data.LIMIT


@pytest.mark.slow
@pytest.mark.postgresql
def test_django_answers_every_case_from_postgresql(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"quintette_bench_test_{os.getpid()}"
    monkeypatch.setattr(places, "POSTGRESQL_NAME", name)
    monkeypatch.setenv("BENCH_POSTGRESQL_NAME", name)
    some = [case for case in database_cases.CASES if case.database == database.POSTGRESQL]
    try:
        assert database.back_ends() == []
    except UnavailableError as error:
        pytest.skip(str(error))
    try:
        database.prepare(database.POSTGRESQL)
        answers = answers_of_django("sync", some)
        assert database.counted(database.POSTGRESQL) == data.LIMIT
    finally:
        database.drop(database.POSTGRESQL)
    wrong = {case.name: case.wrong(answers[case.name].encode()) for case in some}
    assert wrong == dict.fromkeys(wrong)


def test_a_database_is_made_once_and_anew_when_the_data_set_changes(
    sqlite_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = sqlite_file.stat().st_ino
    database.prepare(database.SQLITE)
    assert sqlite_file.stat().st_ino == made
    with sqlite3.connect(sqlite_file) as connection:
        connection.execute("UPDATE bench_version SET version = 'of another data set'")
        connection.execute("UPDATE counter SET number = 1 WHERE id = 1")
    assert database.counted(database.SQLITE) % 10 == 1
    database.prepare(database.SQLITE)
    assert database.counted(database.SQLITE) == 0
    monkeypatch.setattr(database, "version", lambda: "the next")
    database.prepare(database.SQLITE)
    with sqlite3.connect(sqlite_file) as connection:
        assert connection.execute("SELECT version FROM bench_version").fetchone() == ("the next",)


def test_the_data_set_has_what_makes_encoders_differ() -> None:
    rows = data.full10()
    assert list(rows[0]) == list(data.FULL)
    assert {row["motto"] is None for row in rows} == {True, False}
    assert {row["capital"] for row in map(data.city, range(1, data.CITIES))} == {True, False}
    assert any('"' in (row["motto"] or "") for row in rows)
    assert len(data.TWENTY) == len(set(data.TWENTY)) == 20


def page(message: str) -> bytes:
    right: bytes = cases.BY_NAME["db-fortunes"].answer
    return right.replace(b"&lt;script&gt;", message.encode())


@pytest.mark.parametrize(
    ("body", "right"),
    [
        (page("&lt;script&gt;"), True),
        (page("&lt;script&gt;").replace(b"&#x27;", b"&#39;").replace(b"&quot;", b"&#34;"), True),
        (page("&lt;script&gt;") + b"\n", True),
        (page("<script>"), False),
        (page("&lt;script&gt;").replace(b"<tr><td>0</td>", b"<tr><td>13</td>"), False),
    ],
    ids=["Django's spelling", "Jinja's", "a last newline", "not escaped", "another row"],
)
def test_fortunes_are_compared_by_what_they_show(body: bytes, right: bool) -> None:
    assert (cases.BY_NAME["db-fortunes"].wrong(body) is None) is right


def test_a_cookie_goes_out_with_both_generators() -> None:
    case = cases.BY_NAME["db-me"]
    server = Server("x", case, 1, Launch([]))
    assert f'wrk.headers["Cookie"] = "{data.COOKIE}"' in wrk_script(case).read_text()
    assert f"\r\nCookie: {data.COOKIE}\r\n" in raw(server).read_text(newline="")


def test_an_empty_post_has_a_length() -> None:
    server = Server("x", cases.BY_NAME["db-update10"], 1, Launch([]))
    assert b"\r\nContent-Length: 0\r\n\r\n" in raw(server).read_bytes()


@pytest.mark.parametrize(("effect", "right"), [(10, True), (0, False), (20, False)])
def test_an_update_that_does_not_happen_is_found(
    effect: int, right: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = [0]
    monkeypatch.setattr(database, "counted", lambda kind: counted[0])

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            counted[0] += effect
            body = json.dumps(data.UPDATED).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.handle_request)
        thread.start()
        server = Server("x", cases.BY_NAME["db-update10"], listening.server_port, Launch([]))
        try:
            if right:
                server.check()
            else:
                with pytest.raises(UnavailableError, match=f"x adds {effect}, not 10"):
                    server.check()
        finally:
            thread.join(timeout=60)


def test_an_update_of_a_load_that_has_gone_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    sums = iter([100, 110, 110, 120, *[120] * 4])
    monkeypatch.setattr(database, "counted", lambda kind: next(sums))
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    server = Server("x", cases.BY_NAME["db-update10"], 1, Launch([]))
    assert server._counted() == 120


def test_a_database_that_cannot_be_reached_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "POSTGRESQL_HOST", str(tmp_path))
    with pytest.raises(UnavailableError, match=r"PostgreSQL: .*No such file"):
        database.prepare(database.POSTGRESQL)
    monkeypatch.setattr(places, "SQLITE_FILE", tmp_path / "none" / "x.sqlite3")
    with pytest.raises(UnavailableError, match="SQLite: unable to open"):
        database.counted(database.SQLITE)


def test_back_ends_that_end_or_begin_within_a_round_count_as_they_can(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moved = []
    times = iter([{1: 100, 2: 50}, {1: 160, 3: 5}])
    monkeypatch.setattr("bench.load.round.back_ends", lambda: [1, 2])
    monkeypatch.setattr("bench.load.round.cpu_by_pid", lambda found: next(times) if found else {})
    monkeypatch.setattr(os, "sched_setaffinity", lambda pid, cores: moved.append((pid, cores)))
    assert BackEnds(database.POSTGRESQL, 7).spent_ns() == 65
    assert moved == [(1, {7}), (2, {7})]
    assert BackEnds(database.SQLITE, 7).spent_ns() == 0


@pytest.mark.parametrize(
    ("peer", "case", "missing"),
    [
        ("quintette-orm-async", "db-one", "quintette.db.postgresql"),
        ("quintette-orm-async", "db-one-sqlite", "quintette.db.sqlite3"),
        ("quintette-compiled", "db-one", "quintette.db.compiled"),
        ("quintette-compiled", "db-nested", "quintette.db.shapes"),
        ("quintette-sync-greenlet", "db-sync4", "quintette.concurrency"),
    ],
)
def test_what_a_build_lacks_is_named(
    peer: str, case: str, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find(module: str) -> object:
        if module == missing:
            raise ModuleNotFoundError(module)
        return object()

    monkeypatch.setattr(database_peers, "find_spec", find)
    launch = peers.BY_NAME[peer].variants[0].launch
    with pytest.raises(UnavailableError, match=f"this build has no {missing}"):
        launch(cases.BY_NAME[case], 1)
    monkeypatch.setattr(database_peers, "find_spec", lambda module: object())
    assert launch(cases.BY_NAME[case], 1).environment["BENCH_ENGINE"] == "quintette"


def test_every_stack_has_as_many_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    case = cases.BY_NAME["db-one"]
    gunicorn = peers.BY_NAME["django-sync"].variants[0].launch(case, 1).command
    assert gunicorn[gunicorn.index("--threads") + 1] == str(places.POOL)
    uvicorn = peers.BY_NAME["django-async"].variants[0].launch(case, 1).environment
    assert uvicorn["BENCH_POOL"] == "on"


def test_the_command_line_chooses_by_pattern(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", "--cases", "db-one*"])
    chosen, _ = command.chosen(command.parse())
    assert [case.name for case in chosen] == ["db-one", "db-one-sqlite"]
    monkeypatch.setattr(sys, "argv", ["bench", "--cases", "nothing-*"])
    with pytest.raises(SystemExit):
        command.parse()
