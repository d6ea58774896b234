"""What the bench makes of its rounds: answers, rows, floors."""

from __future__ import annotations

import json
from typing import Any
from xml.etree import ElementTree as ET

import pytest

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
    assert peers.BY_NAME["quintette"].cases == set(cases.BY_NAME)


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


def test_ratios_are_to_ours() -> None:
    rows = [made_row("hello", "quintette", 5.0), made_row("hello", "x", 12.5)]
    report.add_ratios(rows)
    assert [row["ratio_to_quintette"] for row in rows] == [1.0, 2.5]


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
        (Peer("x", "X", frozenset({"hello"}), launch("false")), "ended with status 1"),
        (Peer("x", "X", frozenset({"hello"}), launch("/no/such")), "ended with status"),
        (
            Peer("x", "X", frozenset({"hello"}), launch("true"), packages=("no-such-package",)),
            "no-such-package is not installed",
        ),
    ],
    ids=["dies", "has no program", "has no package"],
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
