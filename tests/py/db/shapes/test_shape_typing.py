"""What a strict type checker says of a user's shapes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mypy")
pytest.importorskip("mypy_django_plugin")

PYTHON = Path(__file__).resolve().parents[4] / "python"

# A line with `# error: CODE` must be refused with that code, all others be accepted.
CODE = """
import datetime as dt
from typing import Any, assert_type

from django.contrib.auth.models import Group, Permission, User
from django.db.models import Count, QuerySet
from msgspec import UNSET, UnsetType
from quintette import (
    API, CursorPage, Page, Selection, Shape, Stream, compiled, computed, field,
)


class PermissionOut(Shape, model=Permission):
    codename: str
    groups: "list[GroupOut]" = field(source="group_set", depth=1)


class GroupOut(Shape, model=Group):
    id: int
    title: str = field(source="name")
    users: int = field(expr=Count("user"))
    permissions: list[PermissionOut] = field(queryset=lambda qs: qs.order_by("codename")[:3])

    @computed
    def shown(self) -> str:
        return f"{self.title} ({self.users})"

    @classmethod
    def queryset(cls, queryset: QuerySet[Group]) -> QuerySet[Group]:
        return queryset.exclude(name="")


class UserIn(Shape, model="auth.User", forbid_unknown_fields=True):
    username: str
    joined: dt.datetime | UnsetType = field(source="date_joined", default=UNSET)
    groups: list[int] = field(default_factory=list)


api = API()


@api.get("/groups")
def groups() -> Selection[GroupOut]:
    return GroupOut.select(Group.objects.all())


@api.get("/listed")
def listed() -> list[GroupOut]:
    return GroupOut.select(Group.objects.all())


@api.get("/sliced")
async def sliced() -> list[GroupOut]:
    return GroupOut.select()[:3]


@api.get("/one")
def one(id: int) -> GroupOut:
    return GroupOut.select(Group.objects.filter(pk=id)).one


@api.get("/maybe")
def maybe(id: int) -> GroupOut | None:
    return GroupOut.select(Group.objects.filter(pk=id)).one


@compiled(shape=GroupOut)
def by_name(name: str) -> QuerySet[Group]:
    return Group.objects.filter(name=name)


@compiled
def by_id(id: int) -> GroupOut | None: ...


@api.get("/compiled")
async def from_compiled(name: str) -> list[GroupOut]:
    return by_name.json(name)


@api.get("/compiled-one")
async def from_compiled_one(id: int) -> GroupOut | None:
    return by_id.json(id)


@api.get("/wrong")
async def wrong(id: int) -> list[GroupOut]:
    if id == 1:
        return PermissionOut.select()  # error: return-value
    if id == 2:
        by_name.json(3)  # error: call-overload
    return GroupOut.select().one  # error: return-value


@api.get("/other")
async def other(id: int) -> list[PermissionOut]:
    return by_name.json("x")  # error: return-value


@api.get("/page")
async def page(number: int = 1) -> Page[GroupOut]:
    return await GroupOut.select().apage(number)


@api.get("/cursor")
def cursor(after: str | None = None) -> CursorPage[GroupOut]:
    return GroupOut.select(Group.objects.filter(name="x")).cursor(after)


@api.get("/stream")
def stream() -> Stream:
    return Stream(GroupOut.select(Group).stream("jsonl"))


def use(group: Group) -> None:
    selected = GroupOut.select(group.user_set.all())
    assert_type(selected, Selection[GroupOut])
    assert_type(selected[0], GroupOut)
    assert_type(selected[:3].all(), list[GroupOut])
    assert_type(selected.first(), GroupOut | None)
    assert_type([one.shown for one in selected], list[str])
    assert_type(selected.json(), bytes)
    assert_type(selected.get(pk=1).permissions[0].groups, list[GroupOut])
    selected.get().titel  # error: attr-defined
    selected.stream("xml")  # error: arg-type
    made = UserIn("me", groups=[1])
    UserIn(username=3)  # error: arg-type
    UserIn("me", nothing=1)  # error: call-arg
    GroupOut(1, "a", 2, [], "shown")  # error: call-arg
    UserIn()  # error: call-arg
    user: User = made.create(is_staff=True)
    made.update(user, full_clean=False)
    field(sauce="x")  # error: call-overload


async def wait() -> None:
    assert_type(await GroupOut.select(), list[GroupOut])
    assert_type([one async for one in GroupOut.select()], list[GroupOut])
    assert_type(await GroupOut.select().aget(pk=1), GroupOut)
    assert_type(await GroupOut.select().ajson(), bytes)
    assert_type(await by_name.json("x"), bytes)
    assert_type(await by_id.json(3), bytes)
    assert_type(await by_name("x"), list[GroupOut])
    user: Any = await UserIn("me").acreate()
"""


@pytest.mark.slow
def test_a_users_shapes(tmp_path: Path) -> None:
    file = tmp_path / "shapes_of_a_user.py"
    file.write_text(CODE)
    (tmp_path / "settings_of_a_user.py").write_text(
        'INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes"]\n'
        'SECRET_KEY = "x"\n'
    )
    config = tmp_path / "mypy.ini"
    config.write_text(
        "[mypy]\nstrict = true\nplugins = mypy_django_plugin.main\n"
        "[mypy.plugins.django-stubs]\ndjango_settings_module = settings_of_a_user\n"
    )
    result = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", config, "--no-pretty", file],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={
            "MYPYPATH": f"{PYTHON}:{tmp_path}",
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": str(tmp_path),
        },
    )
    found = {
        int(line): code
        for line, code in re.findall(r":(\d+): error: .*\[([a-z-]+)\]", result.stdout)
    }
    expected = {
        number: line.partition("# error: ")[2]
        for number, line in enumerate(CODE.split("\n"), 1)
        if "# error: " in line
    }
    assert found == expected, result.stdout + result.stderr
