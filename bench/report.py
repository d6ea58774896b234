"""From raw rounds to rows and a Markdown table."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from typing import Any

from bench.load.openloop import RateRound
from bench.load.round import CLIENT_BOUND, Round

COLUMNS = [
    "server",
    "CPU per request",
    "spread",
    "to Quintette",
    "requests/s",
    "p50",
    "p99",
    "p99 at half peak",
    "CPU at common rate",
    "memory",
]

DATABASE_COLUMN = "PostgreSQL's CPU"

QUIET_LOAD = 2.5
"""The bench itself keeps two cores busy, and is in the average before all but its first case."""


def row(case: str, server: str, rounds: list[Round]) -> dict[str, Any]:
    cpu = [r.cpu_us_per_request for r in rounds]
    rps = [r.rps for r in rounds]
    client = _median(r.client_cpu for r in rounds)
    return {
        "case": case,
        "server": server,
        "cpu_us_per_request": round(statistics.median(cpu), 2),
        "cpu_us_spread": [round(min(cpu), 2), round(max(cpu), 2)],
        "rps": round(statistics.median(rps)),
        "rps_spread": [round(min(rps)), round(max(rps))],
        "p50_ms": round(_median(r.p50_ms for r in rounds), 3),
        "p99_ms": round(_median(r.p99_ms for r in rounds), 3),
        "rss_mb": round(_median(r.rss_mb for r in rounds), 1),
        "database_cpu_us": round(_median(r.database_cpu_us for r in rounds), 1),
        "errors": sum(r.errors for r in rounds),
        "client_cpu": round(client, 2),
        "client_bound": client >= CLIENT_BOUND,
    }


def half_peak(rounds: list[RateRound]) -> dict[str, Any]:
    """Latency at half of a server's own peak. A round whose rate was not held counts as it came."""
    return {
        "p99_half_peak_ms": round(_median(r.p99_ms for r in rounds), 3),
        "p99_half_peak_spread": [min(r.p99_ms for r in rounds), max(r.p99_ms for r in rounds)],
        "half_peak_rate": round(_median(r.rate for r in rounds)),
        "half_peak_held": all(r.held for r in rounds),
    }


def common_rate(rounds: list[RateRound]) -> dict[str, Any]:
    """CPU at the one rate that every server of the case can hold."""
    return {
        "cpu_us_common_rate": round(_median(r.cpu_us_per_request for r in rounds), 2),
        "common_rate": round(_median(r.rate for r in rounds)),
        "common_rate_held": all(r.held for r in rounds),
    }


def add_ratios(rows: list[dict[str, Any]]) -> None:
    """CPU per request as a multiple of ours, of our first row: above 1, dearer than we are."""
    ours = [r["cpu_us_per_request"] for r in rows if r["server"].startswith("quintette")]
    reference = ours[0] if ours else None
    for each in rows:
        each["ratio_to_quintette"] = (
            round(each["cpu_us_per_request"] / reference, 2) if reference else None
        )


def about(results: list[dict[str, Any]]) -> str:
    """When, where and with which versions."""
    versions: dict[str, str] = {}
    for case in results:
        for server in case["servers"].values():
            versions |= server["versions"]
    machine = results[-1]["machine"]
    listed = ", ".join(f"{name} {versions[name]}" for name in sorted(versions))
    # Of the first case alone: before the others it is the bench's own load.
    first = min(results, key=lambda case: case["when"])
    busiest = first["machine"]["load_average_before"]
    noise = (
        f" The machine was not quiet (load average {busiest:.0f} before the first case): read CPU "
        "per request, not latency or requests/s."
        if busiest > QUIET_LOAD
        else ""
    )
    commands = ", ".join(
        f"`{command}`" for command in sorted({r["command"].strip() for r in results})
    )
    return (
        f"Measured {results[0]['when'][:10]} by {commands} on {machine['cpu']} "
        f"({machine['cores']} cores), Linux {machine['kernel']}, CPython {machine['python']}: "
        f"{listed}.{noise}"
    )


def section(results: dict[str, Any], titles: dict[str, str]) -> str:
    """A case's heading, table and what is missing from it."""
    lines = ["", f"### {results['title'][0].upper()}{results['title'][1:]}", ""]
    lines += [table(results["rows"], titles), ""]
    lines += [
        f"Left out: {titles.get(name, name)}: {why}\n" for name, why in results["left_out"].items()
    ]
    return "\n".join(lines)


def table(rows: list[dict[str, Any]], titles: dict[str, str]) -> str:
    with_database = any(each.get("database_cpu_us") for each in rows)
    columns = [*COLUMNS, DATABASE_COLUMN] if with_database else COLUMNS
    lines = [
        f"| {' | '.join(columns)} |",
        "|---|" + "---:|" * (len(columns) - 1),
    ]
    for each in rows:
        low, high = each["cpu_us_spread"]
        lines.append(
            f"| {titles.get(each['server'], each['server'])} | {each['cpu_us_per_request']:.2f} us "
            f"| {low:.2f}-{high:.2f} | {_times(each['ratio_to_quintette'])} "
            f"| {each['rps']:,}{' (client-bound)' if each['client_bound'] else ''} "
            f"| {each['p50_ms']} ms | {each['p99_ms']} ms "
            f"| {_unit(each.get('p99_half_peak_ms'), 'ms')} "
            f"| {_unit(each.get('cpu_us_common_rate'), 'us')} | {each['rss_mb']} MB |"
        )
        if with_database:
            lines[-1] += f" {each['database_cpu_us']} us |"
        if each["errors"]:
            lines[-1] += f" **{each['errors']} errors**"
    return "\n".join(lines)


def _times(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f} x"


def _unit(value: float | None, unit: str) -> str:
    return "" if value is None else f"{value} {unit}"


def _median(values: Iterable[float]) -> float:
    return statistics.median(values)
