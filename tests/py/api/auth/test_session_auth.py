"""Django's session: its user, and attacks on it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth import alogin, alogout, get_user_model, login
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.http import HttpRequest
from django.middleware.csrf import _get_new_csrf_string, get_token  # type: ignore[attr-defined]
from django.test.utils import override_settings
from live import MakeClient

from quintette import API
from quintette.api import csrf
from quintette.auth import (
    CurrentUser,
    HasPerm,
    InGroup,
    IsAuthenticated,
    IsOwner,
    IsStaff,
    Public,
    SessionAuth,
    acheck_object,
)

SECRET = "a" * 32


def _api(*guards: Any, optional: bool = False) -> API:
    api = API(guards=[SessionAuth(optional=optional), *guards])

    @api.get("/me")
    async def me(user: CurrentUser[User]) -> str:
        return user.username

    @api.get("/me-in-thread")
    def me_in_thread(user: CurrentUser[User]) -> str:
        return user.username

    @api.get("/maybe")
    async def maybe(user: CurrentUser[User | None]) -> str | None:
        return user.username if user else None

    @api.get("/request")
    async def of_request(request: HttpRequest) -> str:
        user = await request.auser()
        return f"{user.username}|{request.user.username}|{request.auth}"  # type: ignore[attr-defined]

    @api.get("/request-in-thread")
    def of_request_in_thread(request: HttpRequest) -> str:
        return f"{request.user.get_username()}|{request.auth}"  # type: ignore[attr-defined]

    @api.post("/change")
    async def change(user: CurrentUser[User | None]) -> str:
        return user.username if user else "nobody"

    @api.get("/change", guards=[Public()])
    async def read() -> str:
        return "public"

    return api


def _cookies(session: str, csrf: str = "") -> dict[str, str]:
    cookies = {settings.SESSION_COOKIE_NAME: session} if session else {}
    return cookies | ({settings.CSRF_COOKIE_NAME: csrf} if csrf else {})


PATHS = ["/me", "/me-in-thread", "/maybe", "/request", "/request-in-thread"]


def test_the_user(connect: MakeClient, session_of: Any) -> None:
    client = connect(_api())
    cookies = _cookies(session_of("ada"))
    said = [client.get(path, cookies=cookies).json() for path in PATHS]
    assert said == ["ada", "ada", "ada", "ada|ada|None", "ada|None"]


@pytest.mark.parametrize("session", ["", "x", "0" * 32, "cy", '"', "a;b", "\x80"])
def test_nobody(connect: MakeClient, session_of: Any, session: str) -> None:
    """No cookie, none of a session, and one of an inactive user."""
    cookies = _cookies(session_of("cy") if session == "cy" else session)
    client = connect(_api())
    for path in PATHS:
        response = client.get(path, cookies=cookies)
        assert (response.status_code, response.headers["WWW-Authenticate"]) == (401, "Session")
    client = connect(_api(optional=True))
    said = [client.get(path, cookies=cookies) for path in PATHS]
    assert [response.status_code for response in said] == [401, 401, 200, 200, 200]
    assert [response.json() for response in said[2:]] == [None, "||None", "|None"]


def test_a_public_route(connect: MakeClient, users: Any) -> None:
    assert connect(_api()).get("/change").json() == "public"


@pytest.mark.parametrize(
    ("permission", "may"),
    [
        (IsAuthenticated, "ada bob root"),
        (IsStaff, "root"),
        (HasPerm("auth.add_group"), "ada root"),
        (HasPerm("auth.add_group", "auth.delete_group"), "root"),
        (InGroup("editors"), "ada"),
        (InGroup("writers", "editors") | IsStaff, "ada root"),
    ],
)
def test_permissions(connect: MakeClient, session_of: Any, permission: Any, may: str) -> None:
    client = connect(_api(permission))
    for name in ("ada", "bob", "root"):
        response = client.get("/me", cookies=_cookies(session_of(name)))
        assert response.status_code == (200 if name in may else 403)


def test_another_ones_object(connect: MakeClient, session_of: Any, users: Any) -> None:
    api = API(guards=[SessionAuth(), IsOwner("user")])

    @api.get("/entries/{pk}")
    async def entry(request: HttpRequest, pk: int) -> str:
        return str(await acheck_object(request, SimpleNamespace(user_id=pk)))

    client = connect(api)
    cookies = _cookies(session_of("ada"))
    for name, status in (("ada", 200), ("bob", 403), ("root", 403)):
        path = f"/entries/{users[name].pk}"
        assert client.get(path, cookies=cookies).status_code == status


# --- requests that other sites make -----------------------------------------------------

HTTPS = {"X-Forwarded-Proto": "https"}
CSRF = [
    # why, cookie, field, more fields, settings, status
    ("the token, as a cookie and as a field", SECRET, SECRET, {}, {}, 200),
    ("no token", SECRET, "", {}, {}, 403),
    ("no cookie", "", SECRET, {}, {}, 403),
    ("another one's token", SECRET, "b" * 32, {}, {}, 403),
    ("a token of the wrong length", SECRET, "a" * 31, {}, {}, 403),
    ("characters that no token has", SECRET, "/" * 32, {}, {}, 403),
    ("an empty token", "", "", {}, {}, 403),
    ("another site", SECRET, SECRET, {"Origin": "https://evil.example"}, {}, 403),
    ("no site at all", SECRET, SECRET, {"Origin": "null"}, {}, 403),
    ("a sub-domain", SECRET, SECRET, {"Origin": "http://sub.testserver"}, {}, 403),
    ("a site that begins the same", SECRET, SECRET, {"Origin": "http://testserver.evil"}, {}, 403),
    (
        "an origin that is trusted",
        SECRET,
        SECRET,
        {"Origin": "https://app.example"},
        {"CSRF_TRUSTED_ORIGINS": ["https://app.example"]},
        200,
    ),
    (
        "and its sub-domain, which is not",
        SECRET,
        SECRET,
        {"Origin": "https://x.app.example"},
        {"CSRF_TRUSTED_ORIGINS": ["https://app.example"]},
        403,
    ),
    ("HTTPS without a referer", SECRET, SECRET, HTTPS, {}, 403),
    (
        "from a page without HTTPS",
        SECRET,
        SECRET,
        HTTPS | {"Referer": "http://testserver/"},
        {},
        403,
    ),
    ("from another site", SECRET, SECRET, HTTPS | {"Referer": "https://evil.example/"}, {}, 403),
    ("a referer that is no URL", SECRET, SECRET, HTTPS | {"Referer": "https://["}, {}, 403),
]


def _forget_settings() -> None:
    for name in (
        "csrf_trusted_origins_hosts",
        "allowed_origins_exact",
        "allowed_origin_subdomains",
    ):
        vars(csrf.check).pop(name, None)


@pytest.mark.parametrize("row", CSRF, ids=[row[0] for row in CSRF])
def test_csrf(connect: MakeClient, session_of: Any, row: tuple[Any, ...]) -> None:
    _, cookie, token, fields, changed, status = row
    headers = fields | ({"X-CSRFToken": token} if token else {})
    proxy = {"SECURE_PROXY_SSL_HEADER": ("HTTP_X_FORWARDED_PROTO", "https")}
    with override_settings(**proxy, **changed):
        # Django's middleware keeps what it has read of the settings.
        _forget_settings()
        client = connect(_api())
        response = client.post(
            "/change", cookies=_cookies(session_of("ada"), cookie), headers=headers
        )
    _forget_settings()
    assert response.status_code == status, response.text
    if status == 403:
        assert response.json()["detail"].startswith("CSRF")
    else:
        assert response.json() == "ada"


def test_csrf_by_a_form(connect: MakeClient, session_of: Any) -> None:
    client = connect(_api())
    cookies = _cookies(session_of("ada"), SECRET)
    for token, status in ((SECRET, 200), ("b" * 32, 403)):
        data = {"csrfmiddlewaretoken": token}
        assert client.post("/change", cookies=cookies, data=data).status_code == status


def test_login_csrf(connect: MakeClient, users: Any) -> None:
    """Without a session, another site must not make a browser change anything either."""
    client = connect(_api(optional=True))
    assert client.post("/change").status_code == 403
    response = client.post("/change", cookies=_cookies("", SECRET), headers={"X-CSRFToken": SECRET})
    assert response.json() == "nobody"


def test_a_tossed_cookie(connect: MakeClient, session_of: Any) -> None:
    """A sub-domain can set cookies for its parent, but does not know the origin's secret, which a
    session may hold (CSRF_USE_SESSIONS)."""
    with override_settings(CSRF_USE_SESSIONS=True):
        client = connect(_api())
        session = session_of("ada")
        tossed = _cookies(session, SECRET)
        response = client.post("/change", cookies=tossed, headers={"X-CSRFToken": SECRET})
        assert response.status_code == 403
        secret = _get_new_csrf_string()
        store = Session.objects.get(pk=session).get_decoded()
        row = Session.objects.get(pk=session)
        row.session_data = Session.get_session_store_class()().encode(
            store | {"_csrftoken": secret}
        )
        row.save()
        response = client.post("/change", cookies=tossed, headers={"X-CSRFToken": secret})
        assert response.json() == "ada"


def test_the_last_of_two_session_cookies_is_not_mixed_with_the_first(
    connect: MakeClient, session_of: Any
) -> None:
    """Whichever cookie wins, it is Django's choice, and one user's alone."""
    ada, bob = session_of("ada"), session_of("bob")
    name = settings.SESSION_COOKIE_NAME
    client = connect(_api())
    response = client.get("/me", headers={"Cookie": f"{name}={ada}; {name}={bob}"})
    assert response.json() == "bob"


# --- what handlers do to the session ----------------------------------------------------


def _login_api() -> API:
    api = API(guards=[SessionAuth(optional=True)])

    @api.post("/login")
    async def log_in(request: HttpRequest, name: str) -> str:
        user = await get_user_model().objects.aget(username=name)
        await alogin(request, user)
        return get_token(request)

    @api.post("/login-in-thread")
    def log_in_thread(request: HttpRequest, name: str) -> str:
        login(request, get_user_model().objects.get(username=name))
        return get_token(request)

    @api.post("/logout")
    async def log_out(request: HttpRequest) -> None:
        await alogout(request)

    @api.get("/count")
    async def count(request: HttpRequest) -> int:
        n = int(await request.session.aget("n", 0)) + 1
        await request.session.aset("n", n)
        return n

    @api.get("/me")
    async def me(user: CurrentUser[User | None]) -> str:
        return user.username if user else "nobody"

    return api


@pytest.mark.parametrize("place", ["/login", "/login-in-thread"])
def test_session_fixation(connect: MakeClient, users: Any, place: str) -> None:
    """The session that somebody else has put into the browser is not the one that is logged in."""
    client = connect(_login_api())
    assert client.get("/count").json() == 1
    planted = client.cookies[settings.SESSION_COOKIE_NAME]
    client.cookies[settings.CSRF_COOKIE_NAME] = SECRET
    response = client.post(f"{place}?name=ada", headers={"X-CSRFToken": SECRET})
    assert response.status_code == 200
    assert client.cookies[settings.SESSION_COOKIE_NAME] != planted
    assert client.cookies[settings.CSRF_COOKIE_NAME] != SECRET, "the token is another one, too"
    assert client.get("/me").json() == "ada"
    assert client.get("/count").json() == 2, "what an anonymous session holds is kept"
    assert client.get("/me", cookies=_cookies(planted)).json() == "nobody"


def test_a_session_is_kept_and_ended(connect: MakeClient, users: Any) -> None:
    client = connect(_login_api())
    assert [client.get("/count").json() for _ in range(3)] == [1, 2, 3]
    response = client.get("/count")
    cookie = response.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Cookie" in response.headers["Vary"]
    client.cookies[settings.CSRF_COOKIE_NAME] = SECRET
    client.post("/login?name=bob", headers={"X-CSRFToken": SECRET})
    assert client.get("/me").json() == "bob"
    key = client.cookies[settings.SESSION_COOKIE_NAME]
    token = client.cookies[settings.CSRF_COOKIE_NAME]
    assert client.post("/logout", headers={"X-CSRFToken": token}).status_code == 204
    assert settings.SESSION_COOKIE_NAME not in client.cookies
    assert client.get("/me", cookies=_cookies(key)).json() == "nobody"


def test_an_answer_that_depends_on_the_cookie_says_so(connect: MakeClient, session_of: Any) -> None:
    client = connect(_api())
    response = client.get("/me", cookies=_cookies(session_of("ada")))
    assert response.headers["Vary"] == "Cookie"


def test_a_session_that_was_ended_meanwhile(connect: MakeClient, users: Any) -> None:
    """Django answers so, too: the session is not made anew by whoever comes late."""
    api = API(guards=[SessionAuth(optional=True)])

    @api.get("/")
    async def slow(request: HttpRequest) -> int:
        await request.session.aset("x", 1)
        await Session.objects.all().adelete()
        return 1

    client = connect(api)
    client.cookies = _cookies(_stored())
    assert client.get("/").status_code == 400


def _stored() -> str:
    store: Any = Session.get_session_store_class()()
    store["a"] = 1
    store.create()
    return str(store.session_key)
