"""The floors that a release must hold, checked against results."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench.cases import DATABASE, REALTIME
from bench.database_cases import TYPED_USER

Row = dict[str, Any]
Rows = dict[tuple[str, str], Row]
"""By case and server."""

DJANGO_SERVERS = ("django-gunicorn", "django-granian", "django-uvicorn", "django-fastpysgi")
P99_MAX_MS = 2.0
OURS = "quintette"
BARE = "quintette-bare"
SESSION_CASES = ("db-session", "db-session-sqlite")
CPU = ("cpu_us_per_request", "CPU per request", "us")
P50 = ("p50_ms", "median latency", "ms")
"""Key in a row, name and unit of a figure."""


@dataclass(frozen=True)
class Verdict:
    floor: str
    met: bool | None
    """None: not measured."""
    detail: str

    def line(self) -> str:
        word = {True: "met", False: "MISSED", None: "not measured"}[self.met]
        return f"{word:12}  {self.floor}: {self.detail}"


def check(rows: list[Row]) -> list[Verdict]:
    by_key = {(row["case"], row["server"]): row for row in rows}
    found = [_rps_at_least(by_key, "hello", "nginx", 0.75)]
    for case in ("hello", "body"):
        found.append(_cpu_at_most(by_key, case, ("django-bolt",), 1 / 2))
        found.append(_cpu_at_most(by_key, case, ("fastapi",), 1 / 8))
    found.append(_cpu_at_most(by_key, "django_view", DJANGO_SERVERS, 0.35))
    found.append(_cpu_at_most(by_key, "django_view_middleware", DJANGO_SERVERS, 0.4))
    found += [*_guarded(by_key), *_realtime(by_key)]
    cases = dict.fromkeys(row["case"] for row in rows if row["case"] not in DATABASE | REALTIME)
    found += [
        _rss_at_most(by_key, case, "fastapi") for case in cases if (case, "fastapi") in by_key
    ]
    found += [_p99_at_half_peak(by_key, case) for case in cases]
    return found + _database(by_key)


def _guarded(rows: Rows) -> list[Verdict]:
    """Of what stands before a handler: what it costs, beside the same without it."""
    return [
        _at_most(rows, "hello_middleware", OURS, BARE, 1.3),
        _at_most(rows, "jwt", OURS, BARE, 1.25),
        _at_most(rows, "guarded_10k", OURS, BARE, 1.15),
        *(_at_most(rows, case, TYPED_USER, "bolt-orm", 1 / 5) for case in SESSION_CASES),
    ]


def _realtime(rows: Rows) -> list[Verdict]:
    """Of messages: each against the cheaper of uvicorn's two, and against django-bolt."""
    uvicorn = ("uvicorn-asgi", "uvicorn-starlette")
    return [
        _at_most(rows, case, OURS, others, 1 / 2)
        for case in ("ws_echo", "sse_broadcast")
        for others in (uvicorn, "bolt-realtime")
    ]


def _database(rows: Rows) -> list[Verdict]:
    """Of the ORM engine. A case of one client tells wall time by its median latency."""
    orm, compiled, alone = "quintette-orm-async", "quintette-compiled", "db-twenty-alone"
    bolt = ("bolt-queryset", "bolt-orm")
    greenlets, threads = "quintette-sync-greenlet", "quintette-sync-thread"
    return [
        _at_most(rows, "db-full10", orm, "django-async", 1 / 4),
        _at_most(rows, "db-full10", orm, "bolt-orm", 1 / 2),
        _at_most(rows, "db-full10", compiled, bolt, 1 / 6),
        _at_most(rows, "db-full10", compiled, "fastapi-sqlalchemy", 1 / 8),
        _at_most(rows, "db-full10", compiled, "libpq", 1.5),
        _at_most(rows, "db-full10-sqlite", compiled, "quintette-django-msgspec", 1 / 6),
        _rps_at_least(rows, "db-sync4", threads, 1.2, greenlets),
        _rps_at_least(rows, "db-sync4-away", threads, 3, greenlets),
        _at_most(rows, alone, compiled, "quintette-compiled-in-turn", 1 / 4, P50),
    ]


def _compared(
    rows: Rows,
    case: str,
    others: tuple[str, ...],
    floor: str,
    judge: Callable[[Row, Row], Verdict],
    mine: str = OURS,
) -> Verdict:
    """The judgement on our row and the cheapest of the others."""
    ours = rows.get((case, mine))
    theirs = [rows[case, other] for other in others if (case, other) in rows]
    if ours is None or not theirs:
        return Verdict(floor, None, "no results")
    return judge(ours, min(theirs, key=lambda row: row["cpu_us_per_request"]))


def _cpu_at_most(rows: Rows, case: str, others: tuple[str, ...], share: float) -> Verdict:
    name = others[0] if len(others) == 1 else "the best Django server"
    floor = f"{case}: CPU per request at most {share:.3g} of {name}'s"

    def judge(ours: Row, theirs: Row) -> Verdict:
        mine, other = ours["cpu_us_per_request"], theirs["cpu_us_per_request"]
        detail = f"{mine} us / {other} us ({theirs['server']}) = {mine / other:.3f}"
        return Verdict(floor, mine <= share * other, detail)

    return _compared(rows, case, others, floor, judge)


def _at_most(
    rows: Rows,
    case: str,
    mine: str,
    other: str | tuple[str, ...],
    share: float,
    figure: tuple[str, str, str] = CPU,
) -> Verdict:
    """One of our rows against another, or the cheapest of several, by a figure of both."""
    key, name, unit = figure
    others = (other,) if isinstance(other, str) else other
    floor = f"{case}: {name} of {mine} at most {share:.3g} of {' or '.join(others)}'s"

    def judge(ours: Row, theirs: Row) -> Verdict:
        share_of_theirs = ours[key] / theirs[key]
        detail = f"{ours[key]} {unit} / {theirs[key]} {unit} = {share_of_theirs:.3f}"
        return Verdict(floor, ours[key] <= share * theirs[key], detail)

    return _compared(rows, case, others, floor, judge, mine)


def _rps_at_least(rows: Rows, case: str, other: str, share: float, mine: str = OURS) -> Verdict:
    whose = "" if mine == OURS else f" of {mine}"
    floor = f"{case}: requests/s{whose} at least {share:.3g} of {other}'s"

    def judge(ours: Row, theirs: Row) -> Verdict:
        detail = f"{ours['rps']:,} / {theirs['rps']:,} = {ours['rps'] / theirs['rps']:.3f}"
        if theirs["client_bound"]:
            detail += f" ({other} was bound by the client)"
        return Verdict(floor, ours["rps"] >= share * theirs["rps"], detail)

    return _compared(rows, case, (other,), floor, judge, mine)


def _rss_at_most(rows: Rows, case: str, other: str) -> Verdict:
    floor = f"{case}: memory of the worker at most {other}'s"

    def judge(ours: Row, theirs: Row) -> Verdict:
        detail = f"{ours['rss_mb']} MB / {theirs['rss_mb']} MB"
        return Verdict(floor, ours["rss_mb"] <= theirs["rss_mb"], detail)

    return _compared(rows, case, (other,), floor, judge)


def _p99_at_half_peak(rows: Rows, case: str) -> Verdict:
    floor = f"{case}: p99 at half of our own peak at most {P99_MAX_MS:g} ms"
    p99 = rows.get((case, OURS), {}).get("p99_half_peak_ms")
    if p99 is None:
        return Verdict(floor, None, "no results")
    return Verdict(floor, p99 <= P99_MAX_MS, f"{p99} ms")
