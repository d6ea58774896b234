"""Prints the sums over all packages of Django's tests that were run."""

from __future__ import annotations

from typing import Any

import pytest

SUMS = ("ran", "passed", "skipped", "excluded", "environment", "failed")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    reports = [
        dict(report.user_properties)
        for outcome in ("passed", "failed")
        for report in terminalreporter.getreports(outcome)
        if report.when == "call" and "django-package" in dict(report.user_properties)
    ]
    if not reports:
        return
    terminalreporter.section("Django's own tests over Quintette")
    for report in reports:
        terminalreporter.line(f"{report['django-package']:<28} {_line(report)}")
    total = {name: sum(report[name] for report in reports) for name in SUMS}
    terminalreporter.line(f"{f'{len(reports)} packages':<28} {_line(total)}")


def _line(counts: dict[str, int]) -> str:
    return ", ".join(f"{counts[name]} {name}" for name in SUMS if counts[name] or name == "ran")


@pytest.fixture(scope="session")
def django_tests() -> Any:
    from django_suite import UnreachableError, fetch_tests

    try:
        return fetch_tests()
    except UnreachableError as error:
        pytest.skip(f"Django's source distribution cannot be had: {error}")
