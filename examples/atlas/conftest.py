"""Lets pytest run the tests that `manage.py test` runs."""

import os
from collections.abc import Iterator

import django
import pytest
from django.test.runner import DiscoverRunner


def pytest_configure() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "atlas.settings")
    django.setup()


@pytest.fixture(scope="session", autouse=True)
def test_databases() -> Iterator[None]:
    runner = DiscoverRunner(verbosity=0, interactive=False)
    runner.setup_test_environment()
    databases = runner.setup_databases()
    yield
    runner.teardown_databases(databases)
    runner.teardown_test_environment()
