"""Permissions that are nearly those that models declare."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

Run = Callable[..., Any]

URLS = """
from django.urls import path
from quintette import API
from quintette.auth import BasicAuth, HasPerm, IsStaff, ReadOnly
api = API(guards=[BasicAuth()])
@api.get("/groups", guards=[{guard}])
async def groups() -> dict: return {{}}
@api.get("/again", guards=[{guard}])
async def again() -> dict: return {{}}
urlpatterns = [path("api/", api.urls)]
"""


@pytest.mark.parametrize(
    ("guard", "wrong", "right"),
    [
        ("HasPerm('auth.add_gruop')", "auth.add_gruop", "auth.add_group"),
        ("HasPerm('aut.view_user')", "aut.view_user", "auth.view_user"),
        ("ReadOnly | ~(IsStaff & HasPerm('auth.add_grop'))", "auth.add_grop", "auth.add_group"),
        ("HasPerm('auth.add_group', 'auth.chang_group')", "auth.chang_group", "auth.change_group"),
    ],
)
def test_misspelt(manage: Run, guard: str, wrong: str, right: str) -> None:
    run = manage("check", urls=URLS.format(guard=guard))
    [told] = re.findall(r"\(quintette\.W030\) (.*)", run.stderr)
    assert told.startswith(f"HasPerm('{wrong}') of urls.groups, urls.py:")
    assert f"HINT: Did you mean '{right}'?" in run.stderr


@pytest.mark.parametrize("name", ["auth.add_group", "reports.export", "auth.print_badges"])
def test_declared_or_of_the_projects_own(manage: Run, name: str) -> None:
    run = manage("check", urls=URLS.format(guard=f"HasPerm('{name}')"))
    assert run.returncode == 0
    assert "W030" not in run.stderr
