import pytest
from compiled_models import add_database, fill, postgresql_database, settings_of
from django.db import connections


@pytest.fixture(scope="session")
def sqlite_alias(tmp_path_factory):
    alias = "compiled_sqlite"
    add_database(alias, settings_of(alias, tmp_path_factory.mktemp("compiled") / "db.sqlite3"))
    fill(alias)
    yield alias
    connections[alias].close()
    del connections.settings[alias]


@pytest.fixture(scope="session")
def postgresql_alias():
    alias = "compiled_postgresql"
    settings = settings_of(alias, None)
    try:
        import psycopg
    except ImportError:
        pytest.skip("needs psycopg")
    database = postgresql_database(settings)
    try:
        database.__enter__()
    except psycopg.OperationalError as error:
        pytest.skip(f"no PostgreSQL server answers: {error}")
    add_database(alias, settings)
    try:
        fill(alias)
        yield alias
    finally:
        connections[alias].close()
        del connections.settings[alias]
        database.__exit__(None, None, None)


@pytest.fixture(
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)],
)
def alias(request):
    return request.getfixturevalue(f"{request.param}_alias")
