"""Two databases with the same rows, on Quintette's engines; the queries of a function in each form
in which it may run."""

import os
from urllib.parse import unquote, urlsplit

import pytest
from django.apps import apps
from django.conf import settings
from watch_forms import add, here, in_greenlet, in_thread, remove

from quintette.concurrency import patches

if "watch_app" not in settings.INSTALLED_APPS:
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "watch_app"]
    apps.set_installed_apps(settings.INSTALLED_APPS)

PG_NAME = f"quintette_watch_tests_{os.getpid()}"


@pytest.fixture(scope="session")
def watch_sqlite(tmp_path_factory):
    patches.install()
    path = tmp_path_factory.mktemp("watch") / "db.sqlite3"
    add("watch_sqlite", {"ENGINE": "quintette.db.sqlite3", "NAME": str(path)})
    from watch_app.models import fill

    fill("watch_sqlite")
    yield "watch_sqlite"
    remove("watch_sqlite")


@pytest.fixture(scope="session")
def watch_postgresql():
    psycopg = pytest.importorskip("psycopg")
    url = urlsplit(os.environ.get("DATABASE_URL", "postgresql://127.0.0.1:5432"))
    at = {
        "HOST": url.hostname or "127.0.0.1",
        "PORT": str(url.port or 5432),
        "USER": unquote(url.username or ""),
        "PASSWORD": unquote(url.password or ""),
    }
    try:
        admin = psycopg.connect(
            host=at["HOST"],
            port=at["PORT"],
            user=at["USER"] or None,
            password=at["PASSWORD"] or None,
            dbname="postgres",
            autocommit=True,
            connect_timeout=20,
        )
    except psycopg.OperationalError as error:
        pytest.skip(f"no PostgreSQL server answers: {error}")
    patches.install()
    admin.execute(f"DROP DATABASE IF EXISTS {PG_NAME} WITH (FORCE)")
    admin.execute(f"CREATE DATABASE {PG_NAME}")
    add("watch_postgresql", {"ENGINE": "quintette.db.postgresql", "NAME": PG_NAME, **at})
    from watch_app.models import fill

    fill("watch_postgresql")
    yield "watch_postgresql"
    remove("watch_postgresql")
    admin.execute(f"DROP DATABASE IF EXISTS {PG_NAME} WITH (FORCE)")
    admin.close()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def alias(request):
    return request.getfixturevalue(f"watch_{request.param}")


@pytest.fixture(params=[here, in_greenlet, in_thread], ids=["sync", "greenlet", "thread"])
def queries_of(request):
    """The record of what a synchronous function asks."""
    return request.param
