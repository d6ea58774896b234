"""The example project on PostgreSQL; scripts/test-py.sh runs its tests on SQLite."""

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

ATLAS = Path(__file__).resolve().parents[2] / "examples" / "atlas"
TIMEOUT_S = 120


@pytest.mark.postgresql
@pytest.mark.slow
def test_on_postgresql() -> None:
    psycopg = pytest.importorskip("psycopg")
    server = os.environ.get("DATABASE_URL", "postgresql://127.0.0.1:5432/postgres")
    try:
        psycopg.connect(server, connect_timeout=20).close()
    except psycopg.OperationalError as error:
        pytest.skip(f"no PostgreSQL server answers: {error}")
    name = f"atlas_{os.getpid()}"  # Django makes test_<name>
    url = urlsplit(server)._replace(path=f"/{name}").geturl()
    result = subprocess.run(
        [sys.executable, "manage.py", "test", "--noinput"],
        cwd=ATLAS,
        env={**os.environ, "ATLAS_DATABASE": url},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "Ran 0 tests" not in result.stderr
