"""Mistakes in DATABASES are told before the first query."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from django.db import connections

from quintette.apps import check_databases

SQLITE = "quintette.db.sqlite3"
POSTGRESQL = "quintette.db.postgresql"


@pytest.mark.parametrize(
    ("engine", "options", "said"),
    [
        (SQLITE, {"loop_pool": {"sise": 1}}, "['loop_pool']: Object contains unknown field `sise`"),
        (SQLITE, {"pragmas": {"cache_sise": 1}}, "Did you mean 'cache_size'?"),
        (SQLITE, {"read_budget_ms": "3"}, "['read_budget_ms']: expected milliseconds"),
        (POSTGRESQL, {"loop_pool": {"size": "1"}}, "['loop_pool']: Expected `int`, got `str`"),
        (POSTGRESQL, {"loop_pool": 3}, "['loop_pool']: Expected `object`, got `int`"),
        (POSTGRESQL, {"compiled_pool": {"size": 0}}, "['compiled_pool']: Expected `int` >= 1"),
    ],
)
def test_wrong_options(
    engine: str, options: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if engine == POSTGRESQL:
        pytest.importorskip("psycopg")
    settings = {**connections["default"].settings_dict, "ENGINE": engine, "OPTIONS": options}
    monkeypatch.setitem(connections.settings, "wrong", settings)
    try:
        (error,) = check_databases(None)
    finally:
        del connections["wrong"]
    assert error.msg.startswith("DATABASES['wrong']['OPTIONS']")
    assert said in error.msg
    assert error.id == "quintette.E004"


def test_without_psycopg() -> None:
    code = "import sys; sys.modules['psycopg'] = None; import quintette.db.postgresql.base"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr.splitlines()[-1].startswith(
        'django.core.exceptions.ImproperlyConfigured: ENGINE "quintette.db.postgresql" needs '
        "psycopg 3: pip install"
    )
