"""What a strict type checker says of a user's handlers."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mypy")

PYTHON = Path(__file__).resolve().parents[3] / "python"

# A line with `# error: CODE` must be refused with that code, all others be accepted.
CODE = """
from collections.abc import AsyncIterator
from typing import Annotated, assert_type

from django.contrib.auth.models import User
from django.http import HttpRequest
from msgspec import Struct
from quintette import (
    API, JSON, BigInt, Body, Cookie, Depends, File, Form, Header, HTTPError, Path, Query, Router,
    Stream, in_loop,
)
from quintette.apikeys.keys import VerifiedKey
from quintette.auth import (
    Allowed, AnyOf, APIKeyAuth, CurrentAuth, CurrentUser, HasPerm, IsAuthenticated, IsOwner,
    IsStaff, ObjectGate, Permission, ReadOnly, SessionAuth, acheck_object,
)
from quintette.testing import AsyncTestClient, TestClient

api = API(title="t", version="1")
router = Router("/r", tags=["a"])


class City(Struct):
    id: int
    name: str


def user(authorization: Annotated[str, Header()]) -> int:
    return 1


@api.get("/cities/{id}", name="city", status=200, headers={"A": "b"})
async def city(id: int, q: str | None = None) -> City:
    return City(id, q or "")


@router.post("/", depends=[Depends(user)])
def create(
    request: HttpRequest,
    body: City,
    n: Annotated[BigInt, Body()],
    limit: Annotated[int, Query(ge=1)] = 20,
    offset: int = Query(0, ge=0),
    session: str = Cookie(""),
    me: int = Depends(user),
) -> City | None:
    return None


@api.get("/stream")
async def stream() -> Stream:
    async def pieces() -> AsyncIterator[bytes]:
        yield b""

    return Stream(pieces())


@api.get("/loop")
@in_loop
def loop() -> int:
    raise HTTPError(404, "x")


@api.exception_handler(KeyError)
def on_key_error(request: HttpRequest, error: KeyError) -> JSON:
    return JSON({}, status=404)


@api.get("/wrong", stauts=3)  # error: call-arg
def wrong() -> None: ...


@api.get("/wrong", status="x")  # error: arg-type
def wrong2() -> None: ...


class IsPaid(Permission):
    async def allows(self, request: HttpRequest) -> bool:
        return True


class IsWrong(Permission):
    def allows(self, request: HttpRequest) -> str:  # error: override
        return "yes"


guarded = Router(guards=[
    AnyOf(APIKeyAuth(), SessionAuth()),
    IsAuthenticated & (HasPerm("atlas.add_city") | ~IsStaff) & IsPaid() | ReadOnly,
])


@guarded.get("/me")
async def me(
    request: HttpRequest,
    user: CurrentUser[User],
    maybe: CurrentUser[User | None],
    key: CurrentAuth[VerifiedKey],
    gate: Annotated[ObjectGate, Allowed(IsOwner("owner") | IsStaff())],
) -> str:
    assert_type(user, User)
    assert_type(maybe, User | None)
    assert_type(key.scopes, frozenset[str])
    assert_type(await acheck_object(request, City(1, "")), City)
    assert_type(gate.check(City(1, "")), City)
    return user.username + maybe.username  # error: union-attr


AnyOf(IsStaff())  # error: arg-type


async def use() -> None:
    assert_type(await city(1), City)
    await city("x")  # error: arg-type
    assert_type(loop(), int)
    assert_type(TestClient(api).get("/", params={"a": 1}).status_code, int)
    assert_type((await AsyncTestClient(api).post("/", json={})).text, str)
    TestClient(api, backend="nginx")  # error: arg-type
"""


@pytest.mark.slow
def test_a_users_handlers(tmp_path: Path) -> None:
    file = tmp_path / "handlers.py"
    file.write_text(CODE)
    config = tmp_path / "mypy.ini"
    config.write_text("[mypy]\nstrict = true\n")
    result = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", config, "--no-pretty", file],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={"MYPYPATH": str(PYTHON), "PATH": "/usr/bin:/bin"},
    )
    found = {
        int(line): code
        for line, code in re.findall(r":(\d+): error: .*\[([a-z-]+)\]", result.stdout)
    }
    lines = CODE.split("\n")
    expected = {
        number: line.partition("# error: ")[2]
        for number, line in enumerate(lines, 1)
        if "# error: " in line
    }
    assert found == expected, result.stdout
