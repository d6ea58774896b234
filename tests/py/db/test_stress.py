"""1,000 requests at once that mix transactions, errors, cancellations and killed server processes:
nothing is lost, no connection leaks, nobody sees what is another one's.

stress_project/ is what is served, stress_client.py sends the requests and judges. That the judge
would notice is tested with planted mistakes (stress_project/ledger/leaks.py).
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import stress_client
from stress_client import ACCOUNTS, BALANCE, Answer, Plan, Rows, judge, make_plans, send_all

psycopg = pytest.importorskip("psycopg")
sys.path.append(str(Path(__file__).parents[1] / "server"))
from projects import Project, Served, wait_for  # noqa: E402

SEED = 20_260_731
REQUESTS = 1000
# Of answers, between two server processes that are killed.
KILL_EVERY = 25
COMMAND_SECONDS = 60
SETTLE_SECONDS = 30


class StressProject(Project):
    """A copy of stress_project/ on a database of its own."""

    def __init__(self, folder: Path, database: str, **environment: str) -> None:
        self.folder = folder / database
        shutil.copytree(Path(__file__).parent / "stress_project", self.folder)
        url = _server()
        self.database = database
        self._environment = {
            "STRESS_DATABASE": database,
            "STRESS_HOST": url.hostname or "",
            "STRESS_PORT": str(url.port or ""),
            "STRESS_USER": unquote(url.username or ""),
            "STRESS_PASSWORD": unquote(url.password or ""),
            **environment,
        }

    def environment(self) -> dict[str, str]:
        return {**super().environment(), **self._environment}

    def manage(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def fill(self) -> dict[str, str]:
        """User -> session key."""
        self.manage("migrate", "--run-syncdb", "-v0")
        filled = self.manage("fill", str(REQUESTS), str(ACCOUNTS), str(BALANCE))
        cookies: dict[str, str] = json.loads(filled)
        return cookies


def _server() -> Any:
    return urlsplit(os.environ.get("DATABASE_URL", "postgresql://127.0.0.1:5432"))


def _connect(database: str) -> Any:
    return psycopg.connect(_server()._replace(path=f"/{database}").geturl(), autocommit=True)


class Stand:
    """A served project, its database, and a connection of the test's own to look at it."""

    def __init__(self, project: StressProject, cookies: dict[str, str]) -> None:
        self.admin = _connect(project.database)
        self.cookies = cookies
        self.served = Served(project)
        self.served.wait_for_url()
        self.tasks = self.report()["tasks"]
        self._dice = random.Random(SEED)

    def report(self) -> Any:
        return json.loads(self.served.text("/report"))

    def send(self, plans: list[Plan], *, kill: bool = False) -> list[Answer]:
        async def on_answer(count: int) -> None:
            if kill and count % KILL_EVERY == 0:
                self.kill_one()

        port = urlsplit(self.served.url).port
        assert port is not None
        return asyncio.run(send_all(port, plans, self.cookies, on_answer))

    def judge(self, plans: list[Plan], answers: list[Answer], *, killed: bool = False) -> list[str]:
        return judge(plans, answers, self.rows(), killed=killed)

    def rows(self) -> Rows:
        ask = self.admin.execute
        return Rows(
            balances=dict(ask("SELECT id, balance FROM ledger_account")),
            entries=list(ask("SELECT marker, account_id, amount FROM ledger_entry")),
            notes=list(ask("SELECT marker, kind FROM ledger_note")),
            sessions=json.loads(self.served.text("/markers")),
        )

    def back_ends(self) -> list[tuple[int, str]]:
        found = self.admin.execute(
            "SELECT pid, state FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'stress' ORDER BY pid"
        )
        return list(found)

    def kill_one(self) -> None:
        if found := self.back_ends():
            pid, _state = self._dice.choice(found)
            self.admin.execute("SELECT pg_terminate_backend(%s)", [pid])

    def settle(self) -> None:
        """Every connection goes back, every task ends."""
        seen: Any = None

        def settled() -> bool:
            nonlocal seen
            seen = self.report()
            busy = ("in_use", "waiting", "cleaning", "opening")
            return seen["tasks"] <= self.tasks and not any(seen["pool"][name] for name in busy)

        wait_for(settled, SETTLE_SECONDS, lambda: f"{seen}\n{self.served.errors()[-3000:]}")
        pool = seen["pool"]
        assert pool["open"] == pool["idle"] <= pool["size"], pool
        # The server's pool knows of all there are; of one that was killed it does not know yet.
        wait_for(
            lambda: self._all_idle(pool["open"] + seen["others"]),
            SETTLE_SECONDS,
            lambda: f"{pool}: {self.back_ends()}",
        )

    def _all_idle(self, count_max: int) -> bool:
        states = [state for _pid, state in self.back_ends()]
        return len(states) <= count_max and set(states) <= {"idle"}


Start = Callable[..., Stand]


@contextmanager
def _database(admin: Any, name: str, template: str = "template1") -> Iterator[str]:
    admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    try:
        yield name
    finally:
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@dataclass
class Filled:
    """A database with all users, which each test gets a copy of."""

    admin: Any
    name: str
    cookies: dict[str, str]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    with ExitStack() as stack:
        try:
            admin = stack.enter_context(_connect("postgres"))
        except psycopg.OperationalError as error:
            pytest.skip(f"no PostgreSQL: {error}")
        name = stack.enter_context(_database(admin, f"quintette_stress_{os.getpid()}_filled"))
        project = StressProject(tmp_path_factory.mktemp("stress"), name)
        yield Filled(admin, name, project.fill())


@pytest.fixture
def start(filled: Filled, tmp_path: Path) -> Iterator[Start]:
    with ExitStack() as stack:
        name = f"quintette_stress_{os.getpid()}"
        stack.enter_context(_database(filled.admin, name, filled.name))

        def begin(**environment: str) -> Stand:
            stand = Stand(StressProject(tmp_path, name, **environment), filled.cookies)
            stack.enter_context(stand.admin)
            stack.callback(stand.served.process.wait, 10)
            stack.callback(stand.served.process.kill)
            return stand

        yield begin


@pytest.mark.postgresql
@pytest.mark.slow
def test_a_thousand_at_once(start: Start) -> None:
    stand = start()
    plans = make_plans(SEED, REQUESTS)
    answers = stand.send(plans)
    stand.settle()
    assert not stand.judge(plans, answers)
    # It was what it is meant to be: all kinds, and all but the cut ones answered.
    statuses = Counter(answer.status for answer in answers)
    assert statuses[200] > REQUESTS // 2
    assert statuses[500] == sum(plan.kind in ("fail", "terminate") for plan in plans)
    assert {plan.kind for plan in plans} == set(stress_client.KINDS)

    # All idle connections die: the next requests do not notice.
    for pid, _state in stand.back_ends():
        stand.admin.execute("SELECT pg_terminate_backend(%s)", [pid])
    wait_for(lambda: not stand.back_ends())
    assert stand.served.get("/async?" + _query("a"))[0] == 200
    assert stand.served.get("/sync?" + _query("s"))[0] == 200


def _query(marker: str) -> str:
    return f"kind=transfer&marker={marker}&zone=UTC&source=1&target=2&amount=1&pause=0"


@pytest.mark.postgresql
@pytest.mark.slow
def test_while_server_processes_are_killed(start: Start) -> None:
    stand = start()
    plans = make_plans(SEED + 1, REQUESTS // 2)
    answers = stand.send(plans, kill=True)
    stand.settle()
    assert not stand.judge(plans, answers, killed=True)
    # Most of them were not hit, nor was anybody who came later.
    assert sum(answer.status == 200 for answer in answers) > len(plans) // 2


LEAKS = {
    "context": "saw marker",
    "language": "saw language",
    "zone": "saw zone",
    "connection": "saw transaction",
    "atomicity": "was rolled back, but is there",
}


@pytest.mark.postgresql
@pytest.mark.slow
@pytest.mark.parametrize("leak", LEAKS)
def test_the_judge_notices(start: Start, leak: str) -> None:
    count = REQUESTS // 10
    stand = start(STRESS_LEAK=leak)
    # Without "gather": tasks that all wait for one connection may wait for each other.
    plans = make_plans(SEED, count, ["transfer", "fail"])
    answers = stand.send(plans)
    wrong = stand.judge(plans, answers)
    assert any(LEAKS[leak] in line for line in wrong), wrong[:20]


# --- the judge alone --------------------------------------------------------------------


def _expected(plans: list[Plan]) -> tuple[list[Answer], Rows]:
    """What a server without mistakes would leave."""
    rows = Rows(dict.fromkeys(range(1, ACCOUNTS + 1), BALANCE), [], [], {})
    answers = []
    for plan in plans:
        rows.notes.append((plan.marker, "began"))
        if plan.kind == "fail":
            answers.append(Answer(500))
            continue
        for account, amount in (plan.source, -plan.amount), (plan.target, plan.amount):
            rows.entries.append((plan.marker, account, amount))
            rows.balances[account] += amount
        rows.notes.append((plan.marker, "committed"))
        rows.sessions[plan.user] = plan.marker
        own = {"marker": plan.marker, "language": plan.language, "zone": plan.zone}
        answers.append(Answer(200, [{**own, "user": plan.user}]))
    return answers, rows


def test_the_judge_finds_nothing_wrong_with_the_expected() -> None:
    plans = make_plans(SEED, 50, ["transfer", "fail"])
    assert judge(plans, *_expected(plans), killed=False) == []


WRONGS: dict[str, tuple[Callable[[Rows], Any], str]] = {
    "a balance": (lambda rows: rows.balances.update({1: 0}), "account 1 has 0"),
    "half a transfer": (lambda rows: rows.entries.pop(), "entries"),
    "a repeated one": (lambda rows: rows.entries.extend(rows.entries[:2]), "entries"),
    "a lost one": (lambda rows: rows.entries.clear(), "is not there"),
    "nobody's": (lambda rows: rows.entries.append(("x", 1, 0)), "nobody's"),
    "on_commit twice": (lambda rows: rows.notes.extend(rows.notes), "on_commit ran 2 times"),
    "on_commit never": (lambda rows: rows.notes.clear(), "on_commit ran 0 times"),
    "a savepoint": (lambda rows: rows.notes.append(("m00000", "undone")), "what was rolled back"),
    "another's session": (lambda rows: rows.sessions.update(user00000="m00001"), "its session"),
}


@pytest.mark.parametrize("name", WRONGS)
def test_the_judge_finds(name: str) -> None:
    plans = make_plans(SEED, 10, ["transfer"])
    answers, rows = _expected(plans)
    spoil, line = WRONGS[name]
    spoil(rows)
    assert any(line in found for found in judge(plans, answers, rows, killed=True))
