"""Whose what is kept is, where guards of several kinds meet: nobody else is given it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from django.core.cache import cache
from django.http import HttpRequest
from live import MakeClient

from quintette import API, Cached, Idempotent, Throttle, caching
from quintette.apikeys.models import APIKey
from quintette.auth import (
    JWT,
    AnyOf,
    APIKeyAuth,
    CurrentAuth,
    HeaderScheme,
    IsOwner,
    SessionAuth,
    acheck_object,
)

KEY = {"Idempotency-Key": "8e03978e-40d5-43dd"}
# What a gateway on the way adds to everybody's requests.
SAME = {"Authorization": "Basic Z2F0ZXdheTo="}


@pytest.fixture(autouse=True)
def empty() -> Iterator[None]:
    for clear in (caching.clear, cache.clear):
        clear()
    yield
    for clear in (caching.clear, cache.clear):
        clear()


class Ticket(HeaderScheme):
    header = "X-Ticket"

    async def authenticate(self, credentials: str, request: HttpRequest) -> Any:
        return SimpleNamespace(text=credentials), None


class Voucher(Ticket):
    header = "X-Voucher"


def _whose(way: Any, who: Any) -> API:
    """Tells whom it takes the request for."""
    api = API(guards=[way])

    @api.get("/", guards=[Cached(60, by_user=True)])
    async def read(auth: CurrentAuth[Any]) -> str:
        return str(who(auth))

    @api.post("/", guards=[Idempotent()])
    async def write(auth: CurrentAuth[Any]) -> str:
        return str(who(auth))

    return api


def _ask(client: Any, headers: dict[str, str]) -> list[Any]:
    answers = [client.get("/", headers=headers), client.post("/", headers={**KEY, **headers})]
    assert [answer.status_code for answer in answers] == [200, 200]
    return [answer.json() for answer in answers]


def test_machines_with_keys(connect: MakeClient, users: dict[str, Any]) -> None:
    """Whatever else comes along with their keys."""
    client = connect(_whose(APIKeyAuth(), lambda auth: auth.name))
    keys = {name: APIKey.objects.create_key(name)[1] for name in ("one", "two")}
    for more in ({}, SAME):
        for name, text in keys.items():
            for _ in range(2):
                assert _ask(client, {"X-API-Key": text, **more}) == [name, name]


def test_credentials_of_several_ways(connect: MakeClient) -> None:
    client = connect(_whose(AnyOf(Ticket(), Voucher()), lambda auth: f"{auth.text}"))
    for text in ("a", "b"):
        assert _ask(client, {"X-Ticket": text, **SAME}) == [text, text]
    other = client.get("/", headers={"X-Voucher": "a"})
    assert "age" not in other.headers, "a voucher is no ticket"
    assert client.get("/", headers={"X-Ticket": "a"}).headers["age"] == "0"


def test_tokens_without_a_subject_in_cookies(connect: MakeClient) -> None:
    jwt = JWT(cookie="token", user=lambda claims: None)
    client = connect(_whose(jwt, lambda auth: auth["name"]))
    for name in ("one", "two"):
        claims = {"exp": int(time.time()) + 60, "name": name}
        token = jwt.signing_key.sign(msgspec.json.encode(claims))
        fields = {"Cookie": f"token={token}", "Sec-Fetch-Site": "same-origin", **SAME}
        assert _ask(client, fields) == [name, name]


def test_subjects_of_two_issuers(connect: MakeClient) -> None:
    ways = {
        name: JWT(name * 32, issuer=name, cookie=f"token-{name}", user=lambda claims: None)
        for name in ("a", "b")
    }
    client = connect(_whose(AnyOf(*ways.values()), lambda auth: auth["iss"]))
    for name, jwt in ways.items():
        token = jwt.issue(SimpleNamespace(pk=1))
        fields = {"Cookie": f"token-{name}={token}", "Sec-Fetch-Site": "same-origin"}
        assert _ask(client, fields) == [name, name]


# --- throttles --------------------------------------------------------------------------


class Named(msgspec.Struct):
    sub: str


def test_a_throttle_by_keys(connect: MakeClient, users: dict[str, Any]) -> None:
    api = API(guards=[APIKeyAuth(), Throttle("1/h", by="auth")])
    api.get("/")(_nothing)
    client = connect(api)
    keys = [APIKey.objects.create_key(name)[1] for name in ("one", "two")]
    asked = [client.get("/", headers={"X-API-Key": key}).status_code for key in keys * 2]
    assert asked == [204, 204, 429, 429]


def test_a_throttle_by_claims_of_a_type(connect: MakeClient) -> None:
    jwt = JWT(claims=Named)
    api = API(guards=[jwt, Throttle("1/h", by="auth")])
    api.get("/")(_nothing)
    client = connect(api)
    tokens = [jwt.issue(SimpleNamespace(pk=pk)) for pk in (1, 2, 1, 2)]
    fields = [{"Authorization": f"Bearer {token}"} for token in tokens]
    assert [client.get("/", headers=one).status_code for one in fields] == [204, 204, 429, 429]


async def _nothing() -> None:
    pass


# --- permissions on objects -------------------------------------------------------------


def test_what_an_owner_is_given_again(
    connect: MakeClient, users: dict[str, Any], session_of: Any
) -> None:
    """The object was looked at when the response was made; another one never is given it."""
    ran: list[str] = []
    api = API(guards=[SessionAuth(), IsOwner(), Idempotent()])

    @api.post("/")
    async def write(request: HttpRequest) -> str:
        await acheck_object(request, SimpleNamespace(owner_id=users["ada"].pk))
        ran.append("ran")
        return "written"

    client = connect(api)
    token = "a" * 32
    fields = {
        name: {
            "Cookie": f"sessionid={session_of(name)}; csrftoken={token}",
            "X-CSRFToken": token,
            **KEY,
        }
        for name in ("ada", "bob")
    }
    asked = [
        client.post("/", headers=fields[name]).status_code
        for name in ("ada", "ada", "bob", "ada", "bob")
    ]
    assert asked == [200, 200, 403, 200, 403]
    assert ran == ["ran"]
