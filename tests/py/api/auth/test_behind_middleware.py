"""Guards behind the project's session and authentication middleware: the guard's word counts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.test.utils import override_settings
from live import MakeClient

from quintette import API
from quintette.apikeys.models import APIKey
from quintette.auth import AnyOf, APIKeyAuth, CurrentUser, HasPerm, Public, SessionAuth

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
SECRET = "a" * 32


@pytest.fixture(autouse=True)
def _behind() -> Iterator[None]:
    with override_settings(MIDDLEWARE=MIDDLEWARE):
        yield


def _api(guard: Any, *permissions: Any) -> API:
    api = API(guards=[guard, *permissions])

    @api.route("/async", methods=["GET", "POST"])
    async def a(request: HttpRequest) -> str:
        return f"{(await request.auser()).get_username()} {type(request.auth).__name__}"  # type: ignore[attr-defined]

    @api.route("/thread", methods=["GET", "POST"])
    def t(request: HttpRequest) -> str:
        return f"{request.user.get_username()} {type(request.auth).__name__}"  # type: ignore[attr-defined]

    @api.route("/user", methods=["GET", "POST"])
    async def u(user: CurrentUser[User]) -> str:
        return user.username

    @api.route("/public", methods=["GET"], guards=[Public()])
    async def p(request: HttpRequest) -> str:
        return (await request.auser()).get_username()  # type: ignore[no-any-return]

    return api


def test_a_key_beside_a_session(connect: MakeClient, users: Any, session_of: Any) -> None:
    """The session's user is neither the key's, nor checked against other sites."""
    _, text = APIKey.objects.create_key("k", user=users["ada"])
    for guard in (APIKeyAuth(), AnyOf(APIKeyAuth(), SessionAuth())):
        client = connect(_api(guard))
        fields = {"X-API-Key": text, "Cookie": f"sessionid={session_of('bob')}"}
        for send in (client.get, client.post):
            said = [send(path, headers=fields) for path in ("/async", "/thread", "/user")]
            assert [response.json() for response in said] == [
                "ada VerifiedKey",
                "ada VerifiedKey",
                "ada",
            ]


def test_a_session(connect: MakeClient, session_of: Any) -> None:
    client = connect(_api(SessionAuth(), ~HasPerm("auth.delete_group")))
    cookies = f"sessionid={session_of('bob')}; csrftoken={SECRET}"
    fields = {"Cookie": cookies, "X-CSRFToken": SECRET}
    for path, said in (("/async", "bob NoneType"), ("/thread", "bob NoneType"), ("/user", "bob")):
        assert client.get(path, headers=fields).json() == said
        assert client.post(path, headers=fields).json() == said
        response = client.post(path, headers={"Cookie": cookies})
        assert (response.status_code, response.json()["detail"][:4]) == (403, "CSRF")
        assert client.get(path).status_code == 401
    assert client.get("/public", headers=fields).json() == "bob", "the middleware's"


def test_a_key_does_not_log_anybody_in(connect: MakeClient, users: Any) -> None:
    _, text = APIKey.objects.create_key("k", user=users["ada"])
    client = connect(_api(APIKeyAuth()))
    response = client.get("/async", headers={"X-API-Key": text})
    assert "Set-Cookie" not in response.headers
    assert client.get("/public").json() == ""
