"""A thousand requests at once to stress_project/, by a seed; and a judge of what came of them.

The judge knows nothing of the server but what a client and the database can see.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

ACCOUNTS = 40
BALANCE = 1000
LANGUAGES = ("en", "de", "fr", "pl", "ja")
ZONES = ("UTC", "Asia/Karachi", "America/Lima", "Europe/Paris", "Asia/Tokyo", "Africa/Lagos")
KINDS = {
    "transfer": 30,  # two entries and two balances, in a transaction
    "fail": 12,  # an exception at its end
    "savepoint": 12,  # a part of it is rolled back
    "timeout": 10,  # a transaction before it is cancelled while it waits
    "gather": 14,  # reads beside each other, outside and inside the transaction
    "terminate": 6,  # the server's process behind the connection ends
    "cut": 16,  # the client leaves in the midst of it
}
# Between requests: who leaves at once, and who once the transaction is likely to have begun.
CUT_SECONDS_MAX = 0.5
PAUSE_SECONDS_MAX = 0.02
# However busy the machine is.
ANSWER_SECONDS = 600


@dataclass(frozen=True)
class Plan:
    number: int
    kind: str
    path: str
    language: str
    zone: str
    source: int
    target: int
    amount: int
    pause: float
    cut_after: float

    @property
    def marker(self) -> str:
        return f"m{self.number:05}"

    @property
    def user(self) -> str:
        return f"user{self.number:05}"


@dataclass
class Answer:
    """Of a request: status 0 when there was none."""

    status: int = 0
    seen: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Rows:
    """What is in the database afterwards."""

    balances: dict[int, int]
    entries: list[tuple[str, int, int]]
    """Marker, account, amount."""
    notes: list[tuple[str, str]]
    """Marker, kind."""
    sessions: dict[str, str]
    """User -> the marker in their session."""


def make_plans(seed: int, count: int, kinds: Iterable[str] = KINDS) -> list[Plan]:
    dice = random.Random(seed)
    names = list(kinds)
    weights = [KINDS[name] for name in names]
    plans = []
    for number in range(count):
        kind = dice.choices(names, weights)[0]
        source, target = dice.sample(range(1, ACCOUNTS + 1), 2)
        plans.append(
            Plan(
                number,
                kind,
                dice.choice(("/sync", "/async")),
                dice.choice(LANGUAGES),
                dice.choice(ZONES),
                source,
                target,
                amount=dice.randrange(1, 100),
                pause=dice.uniform(0, PAUSE_SECONDS_MAX),
                cut_after=dice.uniform(0, CUT_SECONDS_MAX),
            )
        )
    return plans


# --- requests ---------------------------------------------------------------------------


async def send_all(
    port: int,
    plans: list[Plan],
    cookies: dict[str, str],
    on_answer: Callable[[int], Awaitable[None]],
) -> list[Answer]:
    """All connections are open before the first request is sent. `cookies`: user -> session key;
    `on_answer` is told how many have been answered."""
    answers = [Answer() for _ in plans]
    opened = [await asyncio.open_connection("127.0.0.1", port) for _ in plans]
    done = 0

    async def exchange(plan: Plan, answer: Answer, reader: Any, writer: Any) -> None:
        nonlocal done
        try:
            writer.write(_request(plan, cookies[plan.user]))
            if plan.kind == "cut":
                await asyncio.sleep(plan.cut_after)
                return
            async with asyncio.timeout(ANSWER_SECONDS):
                _read(answer, await reader.read())
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
            done += 1
            await on_answer(done)

    async with asyncio.TaskGroup() as group:
        for plan, answer, (reader, writer) in zip(plans, answers, opened, strict=True):
            group.create_task(exchange(plan, answer, reader, writer))
    return answers


def _request(plan: Plan, session: str) -> bytes:
    query = urlencode(
        {
            "kind": "transfer" if plan.kind == "cut" else plan.kind,
            "marker": plan.marker,
            "zone": plan.zone,
            "source": plan.source,
            "target": plan.target,
            "amount": plan.amount,
            "pause": plan.pause,
        }
    )
    lines = [
        f"GET {plan.path}?{query} HTTP/1.1",
        "Host: stress",
        f"Accept-Language: {plan.language}",
        f"Cookie: sessionid={session}",
        "Connection: close",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def _read(answer: Answer, data: bytes) -> None:
    head, _, body = data.partition(b"\r\n\r\n")
    if head:
        answer.status = int(head.split(b" ", 2)[1])
    if answer.status == 200:
        answer.seen = json.loads(body)["seen"]


# --- the judge --------------------------------------------------------------------------


def judge(plans: list[Plan], answers: list[Answer], rows: Rows, *, killed: bool) -> list[str]:
    """A line per thing that is wrong. `killed`: whether server processes were killed from outside,
    so that any request may have failed."""
    wrong = []
    entries: dict[str, list[tuple[int, int]]] = {}
    for marker, account, amount in rows.entries:
        entries.setdefault(marker, []).append((account, amount))
    notes = Counter(rows.notes)
    for plan, answer in zip(plans, answers, strict=True):
        found = sorted(entries.pop(plan.marker, []))
        lines = [
            *_status(plan, answer, killed),
            *_seen(plan, answer),
            *_left(plan, answer, found, notes, rows.sessions.get(plan.user, "")),
        ]
        wrong += [f"{plan.marker} {plan.kind} {plan.path}: {line}" for line in lines]
    wrong += [f"entries of nobody's: {marker}" for marker in entries]
    return [*wrong, *_balances(rows)]


def _status(plan: Plan, answer: Answer, killed: bool) -> Iterable[str]:
    if plan.kind == "cut":
        return
    expected = 500 if plan.kind in ("fail", "terminate") else 200
    # 400 is what Django makes of a session that could not be saved.
    if answer.status != expected and not (killed and answer.status in (400, 500)):
        yield f"status {answer.status} instead of {expected}"


def _seen(plan: Plan, answer: Answer) -> Iterable[str]:
    """What a request sees is its own, at each time that it looks."""
    own = {
        "marker": plan.marker,
        "language": plan.language,
        "zone": plan.zone,
        "user": plan.user,
        "is_same_server": True,
    }
    for step, look in enumerate(answer.seen):
        # In the transaction, then behind it.
        own["transaction"] = plan.marker if step == 1 else ""
        for name, value in look.items():
            if value != own[name]:
                yield f"saw {name} {value!r} instead of {own[name]!r} at step {step}"


def _left(
    plan: Plan,
    answer: Answer,
    found: list[tuple[int, int]],
    notes: Counter[tuple[str, str]],
    session: str,
) -> Iterable[str]:
    """All of a transaction is there, or nothing; all, when the client was told so."""
    whole = sorted([(plan.source, -plan.amount), (plan.target, plan.amount)])
    has_all = found == whole
    if found and not has_all:
        yield f"entries {found} instead of {whole} or none"
    if found and plan.kind in ("fail", "terminate"):
        yield "was rolled back, but is there"
    if answer.status == 200 and not has_all:
        yield "was said to be committed, but is not there"
    committed = notes[plan.marker, "committed"]
    if committed > has_all or (answer.status == 200 and not committed):
        yield f"on_commit ran {committed} times"
    began = notes[plan.marker, "began"]
    if began > 1 or (answer.status == 200 and not began):
        yield f"began {began} times"
    if notes[plan.marker, "undone"]:
        yield "what was rolled back is there"
    if session not in ("", plan.marker) or (answer.status == 200 and not session):
        yield f"its session has the marker {session!r}"


def _balances(rows: Rows) -> Iterable[str]:
    expected = dict.fromkeys(range(1, ACCOUNTS + 1), BALANCE)
    for _marker, account, amount in rows.entries:
        expected[account] += amount
    for account, balance in rows.balances.items():
        if balance != expected[account]:
            yield f"account {account} has {balance} instead of {expected[account]}"
    if sum(rows.balances.values()) != ACCOUNTS * BALANCE:
        yield f"the accounts sum up to {sum(rows.balances.values())}"
