"""The tests' models, in tables of SQLite and, where a server answers, of PostgreSQL."""

from __future__ import annotations

import os
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from django.apps import apps
from django.conf import settings
from django.db import OperationalError, connections, transaction
from shapes_aliases import POSTGRESQL

if "shapes_app" not in settings.INSTALLED_APPS:
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "shapes_app"]
    settings.USE_TZ = True
    apps.set_installed_apps(settings.INSTALLED_APPS)


def _add_postgresql() -> None:
    url = urlsplit(os.environ.get("DATABASE_URL", "postgresql://127.0.0.1:5432/postgres"))
    connections.settings[POSTGRESQL] = connections.configure_settings(
        {
            "default": {},
            POSTGRESQL: {
                "ENGINE": "django.db.backends.postgresql",
                "NAME": url.path.lstrip("/") or "postgres",
                "USER": url.username or "",
                "PASSWORD": url.password or "",
                "HOST": url.hostname or "127.0.0.1",
                "PORT": url.port or 5432,
                "TEST": {"NAME": f"shapes_test_{os.getpid()}", "MIGRATE": False},
            },
        }
    )[POSTGRESQL]


@pytest.fixture(scope="session")
def _sqlite() -> Iterator[str]:
    yield from _tables("default")


@pytest.fixture(scope="session")
def _postgresql() -> Iterator[str]:
    pytest.importorskip("psycopg")
    _add_postgresql()
    try:
        connections[POSTGRESQL].ensure_connection()
    except OperationalError as error:
        pytest.skip(f"no PostgreSQL server: {error}")
    yield from _tables(POSTGRESQL)


def _tables(using: str) -> Iterator[str]:
    connection = connections[using]
    old = connection.settings_dict["NAME"]
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    yield using
    connection.creation.destroy_test_db(old, verbosity=0)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def using(request: pytest.FixtureRequest) -> Iterator[str]:
    """The alias of a database, whose changes are undone."""
    alias = str(request.getfixturevalue(f"_{request.param}"))
    with transaction.atomic(using=alias):
        yield alias
        transaction.set_rollback(True, using=alias)


@pytest.fixture
def settings_media() -> Iterator[None]:
    from django.test import override_settings

    with override_settings(MEDIA_URL="/media/"):
        yield
