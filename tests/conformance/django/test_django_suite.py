"""Django's own tests, with Quintette where Django has its handlers. One item per package.

What is replaced is told in over_quintette/, what is excluded, and why, in exclusions.toml.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from django_suite import (
    SHOWN_CHARS,
    complaints,
    read_exclusions,
    read_packages,
    run_package,
)

pytestmark = [pytest.mark.conformance, pytest.mark.slow]

PACKAGES = read_packages()


@pytest.mark.parametrize("package", PACKAGES)
def test_package(
    package: str, django_tests: Path, record_property: Callable[[str, object], None]
) -> None:
    report = run_package(django_tests, package, read_exclusions())
    record_property("django-package", package)
    for name in ("ran", "passed"):
        record_property(name, getattr(report, name))
    for name in ("skipped", "excluded", "environment", "failed"):
        record_property(name, len(getattr(report, name)))
    found = complaints(report)
    assert not found, found + report.output[-SHOWN_CHARS:]


def test_exclusions_belong_to_packages() -> None:
    """Or else nobody would notice that one is needless."""
    strays = [name for name in read_exclusions() if name.partition(".")[0] not in PACKAGES]
    assert not strays
