"""The user of a session comes sooner, and is the one whom Django would have given."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).parent / "user_loading_project.py"
PYTHON = Path(__file__).parents[4] / "python"
STORES = ("db", "cache", "cached_db", "signed_cookies", "file")


@pytest.fixture(scope="module", params=STORES)
def came(request: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any]]:
    database = tmp_path_factory.mktemp("users") / "users.sqlite3"
    done = subprocess.run(
        [sys.executable, str(PROJECT), str(database), request.param],
        env={"PYTHONPATH": str(PYTHON), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return request.param, json.loads(done.stdout)


def test_what_comes_is_what_django_gives(came: tuple[str, dict[str, Any]]) -> None:
    _store, cases = came
    compared = {case: both for case, both in cases.items() if "djangos" in both}
    assert len(compared) == 17
    assert {case: both["ours"] for case, both in compared.items()} == {
        case: both["djangos"] for case, both in compared.items()
    }


def test_only_the_usual_goes_the_short_way(came: tuple[str, dict[str, Any]]) -> None:
    store, cases = came
    quick = {case for case, both in cases.items() if True in both.get("quick", [])}
    # A file is read by blocking: such sessions are Django's.
    usual = {"usual", "inactive, another back end"}
    assert quick == (usual if store != "file" else set())
    assert cases["usual"]["ours"][0] == "ada"
    assert cases["a manager of the project's"]["ours"][0] == ""
    assert cases["an older secret"]["ours"][0] == "ada"
    assert cases["another's hash"]["ours"][0] == ""


def test_no_thread_is_asked_and_the_user_is_loaded_once(came: tuple[str, dict[str, Any]]) -> None:
    store, cases = came
    if store in ("cache", "cached_db"):
        assert cases["without threads"]["ours"] == ["ada", True]
