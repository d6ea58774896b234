"""Django's own tests with Quintette's database engines. One item per package, engine and mode.

DJANGO_ORM_PACKAGES in the environment: "all", or names of packages; else a few that matter most.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import orm_suite
import psycopg
import pytest
from django_suite import SHOWN_CHARS, complaints

pytestmark = [pytest.mark.conformance, pytest.mark.slow]


def _packages() -> list[str]:
    names = os.environ.get("DJANGO_ORM_PACKAGES", "").replace(",", " ").split()
    if names == ["all"]:
        return orm_suite.packages()
    return names or orm_suite.default_packages()


@pytest.fixture(scope="session")
def postgresql() -> None:
    url = os.environ.get("DATABASE_URL", "postgresql://127.0.0.1:5432")
    try:
        psycopg.connect(url, dbname="postgres").close()
    except psycopg.OperationalError as error:
        pytest.skip(f"no PostgreSQL answers: {error}")


@pytest.mark.parametrize("package", _packages())
@pytest.mark.parametrize("mode", orm_suite.MODES)
@pytest.mark.parametrize(
    "engine", [pytest.param("postgresql", marks=pytest.mark.postgresql), "sqlite3"]
)
def test_package(
    engine: str,
    mode: str,
    package: str,
    django_tests: Path,
    request: pytest.FixtureRequest,
    record_property: Callable[[str, object], None],
) -> None:
    if engine == "postgresql":
        request.getfixturevalue("postgresql")
    report = orm_suite.run(django_tests, package, engine, mode)
    orm_suite.keep(report, package, engine, mode)
    record_property("django-package", f"{package}, {engine}, {mode}")
    for name in ("ran", "passed"):
        record_property(name, getattr(report, name))
    for name in ("skipped", "excluded", "environment", "failed"):
        record_property(name, len(getattr(report, name)))
    found = complaints(report)
    assert not found, found + report.output[-SHOWN_CHARS:]


@pytest.mark.parametrize("engine", orm_suite.ENGINES)
@pytest.mark.parametrize("mode", orm_suite.MODES)
def test_exclusions_belong_to_packages(engine: str, mode: str) -> None:
    """Or else nobody would notice that one is needless."""
    names = orm_suite.packages()
    found = orm_suite.exclusions(engine, mode)
    assert not [name for name in found if name.partition(".")[0] not in names]
