"""Tokens, keys and sessions before the same handlers, and before WebSockets."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.http import HttpRequest
from live import MakeClient

from quintette import API, WebSocket
from quintette.apikeys.models import APIKey
from quintette.auth import (
    JWT,
    AnyOf,
    APIKeyAuth,
    CurrentAuth,
    CurrentUser,
    HasPerm,
    HasScope,
    IsAuthenticated,
    IsStaff,
    SessionAuth,
    issue_token,
)
from quintette.testing import AsyncTestClient


def _api(*permissions: Any, optional: bool = False) -> API:
    api = API(guards=[AnyOf(JWT(), APIKeyAuth(), SessionAuth(), optional=optional), *permissions])

    @api.get("/user")
    async def user(user: CurrentUser[User]) -> str:
        return user.username

    @api.get("/thread")
    def thread(user: CurrentUser[User]) -> str:
        return user.username

    @api.get("/auth")
    async def auth(auth: CurrentAuth[Any | None]) -> bool:
        return auth is not None

    @api.get("/request")
    async def of_request(request: HttpRequest) -> str:
        return (await request.auser()).get_username()  # type: ignore[no-any-return]

    return api


@pytest.fixture
def who(users: dict[str, Any], session_of: Any) -> Any:
    """The fields by which somebody says who they are, in one of three ways."""

    def fields(name: str, way: str, scope: str = "") -> dict[str, str]:
        if way == "token":
            token = issue_token(users[name], scope=scope)
            return {"Authorization": f"Bearer {token}"}
        if way == "key":
            _, text = APIKey.objects.create_key("k", user=users[name], scopes=scope.split())
            return {"X-API-Key": text}
        return {"Cookie": f"sessionid={session_of(name)}"}

    return fields


WAYS = ["token", "key", "session"]


@pytest.mark.parametrize("way", WAYS)
def test_each_way(connect: MakeClient, who: Any, way: str) -> None:
    client = connect(_api(IsAuthenticated))
    fields = who("ada", way)
    for path in ("/user", "/thread", "/request"):
        assert client.get(path, headers=fields).json() == "ada"
    assert client.get("/auth", headers=fields).json() is (way != "session")
    assert client.get("/user").status_code == 401
    wrong = {"Authorization": "Bearer x"}
    assert client.get("/user", headers=fields | wrong).status_code == 401, "none is skipped"


@pytest.mark.parametrize("way", WAYS)
def test_each_way_among_permissions(connect: MakeClient, who: Any, way: str) -> None:
    rows: list[tuple[Any, str, str, int]] = [
        (HasScope("write"), "root", "read", 403),
        (HasScope("write"), "bob", "read write", 403 if way == "session" else 200),
        (HasPerm("auth.add_group"), "ada", "", 200),
        (HasPerm("auth.add_group"), "bob", "", 403),
        (IsStaff | HasScope("write"), "root", "", 200),
        (~IsStaff, "root", "", 403),
    ]
    for permission, name, scope, status in rows:
        client = connect(_api(permission))
        response = client.get("/auth", headers=who(name, way, scope))
        assert response.status_code == status, (permission, name)


@pytest.mark.parametrize("way", ["token", "key"])
def test_a_user_who_was_deactivated_since(connect: MakeClient, who: Any, way: str) -> None:
    """A token says who asks for as long as it holds; whoever wants the user gets nobody."""
    client = connect(_api())
    fields = who("bob", way)
    User.objects.filter(username="bob").update(is_active=False)
    assert client.get("/user", headers=fields).status_code in (401, 403)
    assert client.get("/auth", headers=fields).status_code == (200 if way == "token" else 401)


def test_nobody_where_nobody_may_ask(connect: MakeClient, users: Any) -> None:
    client = connect(_api(optional=True))
    assert client.get("/auth").json() is False
    assert client.get("/request").json() == ""
    assert client.get("/user").status_code == 401


@pytest.mark.parametrize("way", [*WAYS, ""])
def test_a_websocket(who: Any, way: str) -> None:
    api = API(guards=[AnyOf(JWT(), APIKeyAuth(), SessionAuth()), IsAuthenticated])

    @api.websocket("/who")
    async def tell(socket: WebSocket[str, str], user: CurrentUser[User]) -> None:
        await socket.send(f"{user.username} {socket.user.username}")

    headers = who("ada", way) if way else {}

    async def ask() -> str:
        client = AsyncTestClient(api)
        async with client.websocket_connect("/who", headers=headers) as socket:
            return str(await socket.receive())

    if way:
        assert asyncio.run(ask()) == "ada ada"
    else:
        with pytest.raises(Exception, match="401"):
            asyncio.run(ask())
