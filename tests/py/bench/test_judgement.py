"""What the bench makes of its rounds: answers, rows, floors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from bench import __main__ as command
from bench import cases, floors, peers, report
from bench.chart import chart
from bench.errors import UnavailableError
from bench.load.round import Round
from bench.load.wrk import read
from bench.peers.base import Peer, only
from bench.run import Entry, Plan, Ring, run_case
from bench.server import Launch, Server


def made_round(cpu: float, rps: float = 1000.0, client: float = 0.5) -> Round:
    return Round(1000, 1.0, cpu, rps, 0.5, 2.0, 0, 50.0, client)


def made_row(case: str, server: str, cpu: float, **more: Any) -> dict[str, Any]:
    return report.row(case, server, [made_round(cpu)]) | more


@pytest.mark.parametrize("case", cases.CASES, ids=lambda case: case.name)
def test_a_case_takes_its_own_answer_and_no_other(case: cases.Case) -> None:
    right = case.answer if isinstance(case.answer, bytes) else json.dumps(case.answer).encode()
    assert case.wrong(right) is None
    assert case.wrong(right[:-1]) is not None
    assert case.wrong(b"") is not None


def test_the_uploaded_file_does_not_hold_its_boundary() -> None:
    body = cases.BY_NAME["upload"].body
    boundary = b"--quintette-bench-boundary"
    assert body.count(boundary) == 2
    head, _, rest = body.partition(b"\r\n\r\n")
    assert head.startswith(boundary)
    assert len(rest.partition(b"\r\n" + boundary)[0]) == cases.UPLOAD_BYTES


def test_every_case_of_a_peer_exists_and_every_case_has_ours() -> None:
    for peer in peers.ALL:
        assert peer.cases <= set(cases.BY_NAME), peer.name
        assert peer.variants
    ours = [peer for peer in peers.ALL if peer.name.startswith("quintette")]
    assert frozenset().union(*(peer.cases for peer in ours)) == set(cases.BY_NAME)


def test_wrk_is_read_with_its_units_and_errors() -> None:
    output = """
  Thread Stats   Avg      Stdev     Max   +/- Stdev
  Latency Distribution
     50%  413.00us
     75%    1.10ms
     90%    5.00ms
     99%    1.02s
  126094 requests in 2.00s, 20.20MB read
  Socket errors: connect 0, read 3, write 1, timeout 2
  Non-2xx or 3xx responses: 10
"""
    numbers = read(output)
    assert (numbers.requests, numbers.seconds, numbers.errors) == (126094, 2.0, 16)
    assert (numbers.p50_ms, numbers.p99_ms) == pytest.approx((0.413, 1020.0))


def test_wrk_without_an_answer_is_no_measurement() -> None:
    with pytest.raises(RuntimeError, match="no count"):
        read("unable to connect")


def test_a_row_is_of_medians_and_says_when_the_client_was_the_limit() -> None:
    row = report.row("hello", "x", [made_round(cpu, client=0.97) for cpu in (9.0, 1.0, 2.0)])
    assert row["cpu_us_per_request"] == 2.0
    assert row["cpu_us_spread"] == [1.0, 9.0]
    assert row["client_bound"]


@pytest.mark.parametrize("ours", ["quintette", "quintette-orm-async"])
def test_ratios_are_to_our_first_row(ours: str) -> None:
    costs = {ours: 5.0, "quintette-sync-thread": 10.0, "x": 12.5}
    rows = [made_row("hello", server, cpu) for server, cpu in costs.items()]
    report.add_ratios(rows)
    assert [row["ratio_to_quintette"] for row in rows] == [1.0, 2.0, 2.5]


def verdict(rows: list[dict[str, Any]], part: str) -> floors.Verdict:
    found = [each for each in floors.check(rows) if part in each.floor]
    assert len(found) == 1, [each.floor for each in found]
    return found[0]


@pytest.mark.parametrize(
    ("ours", "met"), [(5.0, True), (5.01, False)], ids=["at the floor", "below it"]
)
def test_half_of_django_bolt(ours: float, met: bool) -> None:
    rows = [made_row("hello", "quintette", ours), made_row("hello", "django-bolt", 10.0)]
    assert verdict(rows, "hello: CPU per request at most 0.5 of django-bolt").met is met


def test_the_best_of_the_django_servers_counts() -> None:
    rows = [
        made_row("django_view", "quintette", 30.0),
        made_row("django_view", "django-gunicorn", 300.0),
        made_row("django_view", "django-fastpysgi", 59.0),
    ]
    judged = verdict(rows, "django_view: CPU")
    assert judged.met is False
    assert "django-fastpysgi" in judged.detail


@pytest.mark.parametrize(
    ("case", "ours", "theirs", "share"),
    [
        ("db-full10", "quintette-orm-async", "django-async", 1 / 4),
        ("db-full10", "quintette-orm-async", "bolt-orm", 1 / 2),
        ("db-full10", "quintette-compiled", "bolt-queryset", 1 / 6),
        ("db-full10", "quintette-compiled", "fastapi-sqlalchemy", 1 / 8),
        ("db-full10", "quintette-compiled", "libpq", 1.5),
        ("db-full10-sqlite", "quintette-compiled", "quintette-django-msgspec", 1 / 6),
    ],
)
def test_each_row_on_a_database_has_its_floor(
    case: str, ours: str, theirs: str, share: float
) -> None:
    for factor, met in ((1.0, True), (1.01, False)):
        rows = [made_row(case, ours, 1200 * share * factor), made_row(case, theirs, 1200.0)]
        judged = verdict(rows, f"{case}: CPU per request of {ours} at most {share:.3g} of {theirs}")
        assert judged.met is met, judged.line()


def test_greenlets_are_judged_by_requests_and_twenty_queries_by_wall_time() -> None:
    rows = [
        made_row("db-sync4", "quintette-sync-thread", 100.0, rps=1000),
        made_row("db-sync4", "quintette-sync-greenlet", 100.0, rps=1199),
        made_row("db-sync4-away", "quintette-sync-thread", 100.0, rps=1000),
        made_row("db-sync4-away", "quintette-sync-greenlet", 100.0, rps=2999),
        made_row("db-twenty-alone", "quintette-compiled", 900.0, p50_ms=1.0),
        made_row("db-twenty-alone", "quintette-compiled-in-turn", 100.0, p50_ms=4.0),
    ]
    for case, floor, rps in (("db-sync4", 1.2, 1200), ("db-sync4-away", 3, 3000)):
        part = f"{case}: requests/s of quintette-sync-greenlet at least {floor:g} of "
        assert verdict(rows, part).met is False
        better = made_row(case, "quintette-sync-greenlet", 100.0, rps=rps)
        assert verdict([*rows, better], part).met is True
    assert verdict(rows, "db-twenty-alone: median latency of quintette-compiled ").met is True


def test_cases_on_a_database_have_no_floor_of_memory_and_latency() -> None:
    rows = [made_row("db-one", "quintette-compiled", 5.0), made_row("db-one", "fastapi", 80.0)]
    assert [each for each in floors.check(rows) if "db-one" in each.floor] == []


def test_latency_and_memory() -> None:
    rows = [
        made_row("hello", "quintette", 5.0, p99_half_peak_ms=2.1, rss_mb=51.0),
        made_row("hello", "fastapi", 80.0, rss_mb=50.0),
    ]
    assert verdict(rows, "hello: p99").met is False
    assert verdict(rows, "hello: memory").met is False
    rows[0] |= {"p99_half_peak_ms": 2.0, "rss_mb": 50.0}
    assert verdict(rows, "hello: p99").met is True
    assert verdict(rows, "hello: memory").met is True


def test_what_was_not_measured_is_neither_met_nor_missed() -> None:
    assert {each.met for each in floors.check([])} == {None}


def test_the_chart_is_a_picture_with_a_bar_per_row() -> None:
    rows = [made_row("hello", "quintette", 5.0), made_row("hello", "a<b", 10.0)]
    report.add_ratios(rows)
    picture = ET.fromstring(chart([{"title": "R&D", "rows": rows}], {}, set()))
    assert sum(part.tag.endswith("rect") for part in picture.iter()) == 2
    assert any("a<b" in (part.text or "") for part in picture.iter())


def launch(*command: str) -> Any:
    return only(lambda case, port: Launch(list(command)))


@pytest.mark.parametrize(
    ("peer", "why"),
    [
        (Peer("x", "X", frozenset({"hello"}), launch("false")), "status 1: it said nothing"),
        (
            Peer(
                "x", "X", frozenset({"hello"}), launch("sh", "-c", "echo no such key >&2; exit 3")
            ),
            "ended with status 3: no such key",
        ),
        (Peer("x", "X", frozenset({"hello"}), launch("/no/such")), "ended with status"),
        (
            Peer("x", "X", frozenset({"hello"}), launch("true"), packages=("no-such-package",)),
            "no-such-package is not installed",
        ),
    ],
    ids=["dies", "says why", "has no program", "has no package"],
)
def test_a_peer_that_cannot_run_is_left_out_by_name(
    peer: Peer, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    results = run_case(cases.BY_NAME["hello"], [peer], Plan(1, 1, 1, 1))
    assert why in results["left_out"]["x"]
    assert results["rows"] == []
    assert "LEFT OUT: x" in capsys.readouterr().err


def test_a_peer_that_fails_under_load_does_not_stop_the_others() -> None:
    ring = Ring(cases.BY_NAME["hello"], {})
    for name in ("good", "bad"):
        peer = Peer(name, name, frozenset({"hello"}), launch("true"))
        server = Server(name, ring.case, 1, Launch(["true"]))
        ring.entries.append(Entry(peer, "", server, {}))
    turns: list[str] = []

    def load(entry: Entry) -> str:
        turns.append(entry.peer.name)
        if entry.peer.name == "bad":
            raise UnavailableError("bad answers nonsense")
        return ""

    ring.turn("peak", 2, load)
    assert turns == ["good", "bad", "good"]
    assert list(ring.left_out) == ["bad"]


def test_results_on_a_database_have_tables_and_a_chart_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docs = tmp_path / "docs"
    (docs / "images").mkdir(parents=True)
    marks = "".join(
        f"<!-- {group}: begin -->\nold\n<!-- {group}: end -->\n{group} ends\n"
        for group in ("bench", "bench-database")
    )
    (docs / "performance.md").write_text(marks)
    monkeypatch.setattr(command, "DOCS", docs)
    for name in ("hello", "db-one"):
        cost = made_round(5.0)
        cost.database_cpu_us = 12.5 if name == "db-one" else 0.0
        rows = [report.row(name, "quintette-orm-async", [cost])]
        report.add_ratios(rows)
        about = {"command": "c", "when": "2026-01-01", "left_out": {}, "servers": {}}
        about["machine"] = {"cpu": "x", "cores": 2, "kernel": "6", "python": "3"}
        about["machine"]["load_average_before"] = 0.1
        (tmp_path / f"{name}.json").write_text(
            json.dumps(about | {"case": name, "title": f"the {name}", "rows": rows})
        )
    command.summarise(tmp_path)
    command.publish(tmp_path)
    page = (docs / "performance.md").read_text()
    plain, _, database = page.partition("bench ends")
    assert "The hello" in plain
    assert "PostgreSQL" not in plain
    assert "The db-one" in database
    assert "| 12.5 us |" in database
    assert "old" not in page
    assert sorted(path.name for path in (docs / "images").iterdir()) == [
        "bench-database.svg",
        "bench.svg",
    ]
