"""Typed routes behind the project's middleware: lifted into the C router, and as Django's views."""

from __future__ import annotations

import re
import sys
import threading
import types
from pprint import pformat
from typing import Any, ClassVar

import pytest
from asgiref.sync import async_to_sync
from django.contrib import messages
from django.contrib.sessions.backends.signed_cookies import SessionStore
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.test import override_settings
from django.urls import clear_url_caches, path
from django.utils.translation import gettext
from django.views.decorators.clickjacking import xframe_options_exempt
from live_server import Answer, LiveServer
from test_native_middleware import DEFAULT, TOKEN, logged_in

from quintette import API
from quintette.server import lift
from quintette.server.handler import AsyncHandler, SyncHandler

THIS = "test_stack"
LOCALE = "django.middleware.locale.LocaleMiddleware"


def _api(**options: Any) -> API:
    api = API(**options)

    @api.get("/bare")
    async def bare() -> dict[str, int]:
        return {"a": 1}

    @api.get("/page")
    async def page() -> HttpResponse:
        return HttpResponse("page", headers={"Referrer-Policy": "origin"})

    @api.get("/framed")
    async def framed() -> HttpResponse:
        return xframe_options_exempt(lambda request: HttpResponse("framed"))(HttpRequest())

    @api.route("/user", methods=["GET", "POST"])
    async def user(request: HttpRequest) -> str:
        return (await request.auser()).get_username()

    @api.route("/user-in-thread", methods=["GET", "POST"])
    def user_in_thread(request: HttpRequest) -> str:
        return request.user.get_username()

    @api.route("/session", methods=["GET", "POST"])
    def session(request: HttpRequest, do: str = "") -> Any:
        if do == "set":
            request.session["a"] = request.session.get("a", 0) + 1
        elif do == "flush":
            request.session.flush()
        return request.session.get("a")

    @api.route("/session-async", methods=["GET", "POST"])
    async def session_async(request: HttpRequest, do: str = "") -> Any:
        if do == "set":
            await request.session.aset("a", await request.session.aget("a", 0) + 1)
        return await request.session.aget("a")

    @api.route("/untouched", methods=["GET", "POST"])
    async def untouched(request: HttpRequest) -> str:
        return request.method or ""

    @api.get("/token")
    async def token(request: HttpRequest) -> int:
        return len(get_token(request))

    @api.get("/note")
    async def note(request: HttpRequest) -> str:
        messages.info(request, "hello")
        return "noted"

    @api.get("/language")
    async def language(request: HttpRequest) -> str:
        return gettext("Yes")

    @api.get("/language-in-thread")
    def language_in_thread(request: Any) -> str:
        return f"{request.LANGUAGE_CODE} {gettext('Yes')}"

    @api.get("/broken")
    async def broken(request: HttpRequest) -> None:
        raise ValueError("x")

    return api


def _requests() -> list[tuple[str, str, dict[str, str]]]:
    session = f"sessionid={logged_in()}"
    own = f"csrftoken={TOKEN}"
    rows: list[tuple[str, str, dict[str, str]]] = [
        ("GET", f"/{name}", headers)
        for name in (
            "bare", "page", "framed", "user", "user-in-thread", "session", "session-async",
            "untouched", "token", "note", "language", "broken", "session?do=set",
            "session?do=flush", "session-async?do=set", "nothing",
        )
        for headers in ({}, {"Cookie": session}, {"Cookie": "sessionid=x; csrftoken=bad"})
        # Cookies that are none are left alone until somebody looks.
        if "bad" not in str(headers) or name in ("user-in-thread", "session")
    ]  # fmt: skip
    proofs: list[dict[str, str]] = [
        {},
        {"Cookie": session},
        {"Cookie": f"{session}; {own}"},
        {"Cookie": f"{session}; {own}", "X-CSRFToken": TOKEN},
        {"Cookie": f"{session}; {own}", "X-CSRFToken": "b" * 32},
        {"Cookie": f"{session}; {own}", "X-CSRFToken": TOKEN, "Origin": "http://evil.test"},
        {"Cookie": f"{session}; {own}", "X-CSRFToken": TOKEN, "Origin": "null"},
    ]
    for name in ("user", "user-in-thread", "session?do=set", "session-async", "untouched"):
        rows += [("POST", f"/{name}", headers) for headers in proofs]
    for name in ("language", "language-in-thread", "broken", "nothing"):
        rows.append(("GET", f"/{name}", {"Accept-Language": "de"}))
        rows.append(("GET", f"/{name}", {"Accept-Language": "de", "Cookie": "django_language=fr"}))
    rows.append(("GET", "/bare", {"User-Agent": "bad robot"}))
    rows.append(("GET", "/bare", {"X-Proto": "https"}))
    return rows


class _Server:
    """The API lifted, and beside it as Django's views."""

    def __init__(self, api: API, **settings: Any) -> None:
        module: Any = types.ModuleType("urls_of_stack")
        module.urlpatterns = [path("", api.urls)]
        sys.modules["urls_of_stack"] = module
        self._settings = override_settings(
            ROOT_URLCONF="urls_of_stack",
            AUTHENTICATION_BACKENDS=["test_native_middleware.Backend"],
            **{
                "SESSION_ENGINE": "django.contrib.sessions.backends.signed_cookies",
                "MIDDLEWARE": DEFAULT,
                "ALLOWED_HOSTS": ["127.0.0.1"],
                **settings,
            },
        )

    def __enter__(self) -> tuple[LiveServer, LiveServer]:
        self._settings.enable()
        clear_url_caches()
        router, self.report, _ = lift.build_router()
        hosts = ["127.0.0.1"]
        self._lifted = LiveServer(SyncHandler(), router=router, allowed_hosts=hosts)
        self._plain = LiveServer(SyncHandler(), AsyncHandler())
        return self._lifted.__enter__(), self._plain.__enter__()

    def __exit__(self, *exc: object) -> None:
        self._lifted.__exit__()
        self._plain.__exit__()
        self._settings.disable()
        clear_url_caches()


def _seen(answer: Answer) -> tuple[Any, ...]:
    headers = set()
    for name, value in answer.headers.items():
        text = re.sub(r"(sessionid|csrftoken|messages)=[^;]+", r"\1=...", value)
        text = re.sub(r"expires=[^;]+", "expires=...", text)
        text = re.sub(r"(//127\.0\.0\.1):\d+", r"\1", text)
        if name.lower() == "vary":
            text = ", ".join(sorted(text.split(", ")))
        # A redirect of SecurityMiddleware's does not come to the middleware behind it.
        ignored = ("x-frame-options",) if answer.status == 301 else ()
        if name.lower() not in ("date", "content-length", *ignored):
            headers.add((name.lower(), text))
    return answer.status, sorted(headers), answer.body


SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "with languages": {"MIDDLEWARE": [*DEFAULT[:2], LOCALE, *DEFAULT[2:]]},
    "https": {
        "SECURE_HSTS_SECONDS": 60,
        "SECURE_SSL_REDIRECT": True,
        "SECURE_PROXY_SSL_HEADER": ("HTTP_X_PROTO", "https"),
        "X_FRAME_OPTIONS": "sameorigin",
    },
    "save every": {"SESSION_SAVE_EVERY_REQUEST": True},
    "user agents": {"DISALLOWED_USER_AGENTS": [re.compile("^bad")]},
    "few": {"MIDDLEWARE": [DEFAULT[0], DEFAULT[2]]},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_lifted_as_djangos(name: str) -> None:
    choice = True if name == "with languages" else None
    servers = _Server(_api(middleware=choice), **SETTINGS[name])
    with servers as (lifted, plain):
        assert servers.report.kept == []
        differ = []
        for method, target, headers in _requests():
            if "User-Agent" in headers and name == "user agents":
                continue  # see test_a_refused_user_agent
            found, wanted = (
                _seen(server.request(method, target, headers=headers)) for server in (lifted, plain)
            )
            if found != wanted:
                differ.append((method, target, headers, found, wanted))
        assert not differ, pformat(differ[:2], width=200)


@pytest.mark.parametrize("place", ["user", "user-in-thread", "session", "session-async"])
def test_a_session_counts_with_its_proof_only(place: str) -> None:
    """CSRF: a page of another site sends the cookie, but cannot know the token."""
    session = f"sessionid={logged_in()}"
    with _Server(_api()) as servers:
        for server in servers:
            refused = server.request("POST", f"/{place}", headers={"Cookie": session})
            assert (refused.status, b"CSRF" in refused.body) == (403, True), refused.body
            headers = {"Cookie": f"{session}; csrftoken={TOKEN}", "X-CSRFToken": TOKEN}
            assert server.request("POST", f"/{place}", headers=headers).status == 200
            # Who asks for neither needs no proof.
            assert server.request("POST", "/untouched", headers={"Cookie": session}).status == 200


def test_a_refused_user_agent() -> None:
    """Django's page is HTML; a typed route answers with a problem document."""
    with _Server(_api(), **SETTINGS["user agents"]) as servers:
        for server in servers:
            refused = server.request("GET", "/bare", headers={"User-Agent": "bad robot"})
            assert (refused.status, b"a" in refused.body) == (403, True)


def test_none_of_it() -> None:
    with _Server(_api(middleware=False)) as (lifted, _):
        answer = lifted.get("/bare")
        assert "X-Frame-Options" not in answer.headers
        assert lifted.get("/session").status == 500


def test_a_part_of_it() -> None:
    with _Server(_api(middleware=[DEFAULT[0]])) as (lifted, _):
        answer = lifted.get("/bare")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "X-Frame-Options" not in answer.headers


def test_a_new_session_is_kept_once() -> None:
    with _Server(_api()) as servers:
        for server in servers:
            first = server.get("/session?do=set")
            cookie = first.headers["Set-Cookie"].partition(";")[0]
            assert server.get("/session", Cookie=cookie).body == b"1"
            again = server.get("/session-async?do=set", Cookie=cookie)
            cookie = again.headers["Set-Cookie"].partition(";")[0]
            assert server.get("/session-async", Cookie=cookie).body == b"2"
            store = SessionStore(cookie.partition("=")[2])
            assert async_to_sync(store.aget)("a") == 2


class SlowStore(SessionStore):
    """Of the project's own: it may block, so it is no greenlet's."""

    saved_in: ClassVar[list[str]] = []

    def save(self, must_create: bool = False) -> None:
        self.saved_in.append(threading.current_thread().name)
        super().save(must_create)


def test_what_may_block_is_not_saved_on_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    engine: Any = types.ModuleType("slow_sessions")
    engine.SessionStore = SlowStore
    monkeypatch.setitem(sys.modules, "slow_sessions", engine)
    with _Server(_api(), SESSION_ENGINE="slow_sessions") as (lifted, _):
        assert "sessionid" in lifted.get("/session-async?do=set").headers["Set-Cookie"]
    assert SlowStore.saved_in
    assert "loop" not in SlowStore.saved_in
