"""Django's own middleware in C beside Django's: the same requests, the same answers."""

from __future__ import annotations

import inspect
import itertools
import re
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib import messages
from django.contrib.auth import get_user_model
from django.contrib.sessions.backends.signed_cookies import SessionStore
from django.core.exceptions import PermissionDenied
from django.core.handlers.base import BaseHandler
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.middleware.csrf import get_token
from django.test import override_settings
from django.urls import clear_url_caches, path
from django.utils.decorators import async_only_middleware, sync_only_middleware
from django.utils.deprecation import MiddlewareMixin
from django.utils.translation import gettext
from django.views.decorators.clickjacking import xframe_options_exempt
from django.views.decorators.csrf import csrf_exempt
from live_server import Answer, LiveServer
from test_handler import urlconf

from quintette import _quintette
from quintette.server import lift, middleware
from quintette.server.handler import AsyncHandler, SyncHandler

THIS = "test_native_middleware"


class DjangosSync(SyncHandler):
    load_middleware = BaseHandler.load_middleware  # type: ignore[assignment]


class DjangosAsync(AsyncHandler):
    load_middleware = BaseHandler.load_middleware  # type: ignore[assignment]


# --- a project --------------------------------------------------------------------------


class Backend:
    def get_user(self, user_id: Any) -> Any:
        return get_user_model()(pk=user_id, username=f"user{user_id}", password="!")

    async def aget_user(self, user_id: Any) -> Any:
        return self.get_user(user_id)


class Marks(MiddlewareMixin):
    """A project's own, which looks at all that the ones around it do."""

    def process_request(self, request: Any) -> None:
        request.marks = [hasattr(request, name) for name in ("session", "user", "_messages")]

    def process_response(self, request: Any, response: Any) -> Any:
        response["X-Marks"] = f"{request.marks} {sorted(response.headers)}"
        return response

    def process_exception(self, request: Any, exception: Exception) -> Any:
        return HttpResponse("caught", status=418) if "catch" in str(exception) else None


class Refuses(MiddlewareMixin):
    def process_request(self, request: Any) -> Any:
        return HttpResponse("refused", status=403) if "refuse" in request.GET else None


class Breaks(MiddlewareMixin):
    def process_request(self, request: Any) -> Any:
        if "break" in request.GET:
            raise {"404": Http404, "403": PermissionDenied}.get(request.GET["break"], OSError)("x")

    def process_response(self, request: Any, response: Any) -> Any:
        if "break_after" in request.GET:
            raise PermissionDenied("after")
        return response


class Subclass(middleware.SecurityMiddleware):
    def process_response(self, request: Any, response: Any) -> Any:
        response["X-Sub"] = "1"
        return super().process_response(request, response)


@sync_only_middleware
def only_sync(get_response: Any) -> Any:
    def call(request: Any) -> Any:
        response = get_response(request)
        response["X-Sync"] = "1"
        return response

    return call


@async_only_middleware
def only_async(get_response: Any) -> Any:
    async def call(request: Any) -> Any:
        response = await get_response(request)
        response["X-Async"] = "1"
        return response

    return call


def plain(request: HttpRequest) -> HttpResponse:
    return HttpResponse("plain " * int(request.GET.get("n", 1)))


def fields(request: HttpRequest) -> HttpResponse:
    names = ("Referrer-Policy", "X-Frame-Options", "Vary", "Content-Length", "ETag")
    values = ("origin", "SAMEORIGIN", "Accept", "6", '"tag"')
    return HttpResponse("fields", headers=dict(zip(names, values, strict=True)))


def stream(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(iter([b"a" * 300, b"b"]))


def missing(request: HttpRequest) -> HttpResponse:
    raise Http404("nothing")


def broken(request: HttpRequest) -> HttpResponse:
    raise ValueError(request.GET.get("why", "x"))


def who(request: Any) -> HttpResponse:
    return HttpResponse(f"{request.user.is_authenticated} {request.user.get_username()}")


async def awho(request: Any) -> HttpResponse:
    user = await request.auser()
    return HttpResponse(f"{user.is_authenticated} {user.get_username()}")


def session(request: Any) -> HttpResponse:
    do = request.GET.get("do")
    if do == "set":
        request.session["a"] = 1
    elif do == "flush":
        request.session.flush()
    elif do == "browser":
        request.session["a"] = 2
        request.session.set_expiry(0)
    return HttpResponse(repr(request.session.get("a")), status=int(request.GET.get("status", 200)))


def token(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(len(get_token(request))))


def note(request: HttpRequest) -> HttpResponse:
    if "add" in request.GET:
        messages.info(request, "hello")
    found = [str(m) for m in messages.get_messages(request)] if "read" in request.GET else []
    return HttpResponse(repr(found))


def meta(request: HttpRequest) -> HttpResponse:
    secret = request.META.get("CSRF_COOKIE")
    known = secret if secret in (None, TOKEN) else "a new one"
    return HttpResponse(repr((known, request.COOKIES)))


def language(request: Any) -> HttpResponse:
    return HttpResponse(f"{getattr(request, 'LANGUAGE_CODE', None)} {gettext('Yes')}")


def form(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"done {request.csrf_processing_done}")  # type: ignore[attr-defined]


VIEWS: list[Callable[..., Any]] = [
    plain, fields, stream, missing, broken, who, session, token, note, meta, language, form, awho,
]  # fmt: skip
PATTERNS = [
    *[path(f"{view.__name__}/", view) for view in VIEWS],
    path("framed/", xframe_options_exempt(plain)),
    path("open/", csrf_exempt(plain)),
]


def asynchronous(view: Callable[..., Any]) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(view):
        return view

    @wraps(view)
    async def call(request: HttpRequest) -> Any:
        return await sync_to_async(view, thread_sensitive=True)(request)

    return call


def patterns(is_async: bool) -> list[Any]:
    if not is_async:
        return PATTERNS
    return [path(str(item.pattern), asynchronous(item.callback)) for item in PATTERNS]


DEFAULT = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
EVERY = [
    "django.middleware.gzip.GZipMiddleware",
    "django.middleware.http.ConditionalGetMiddleware",
    *DEFAULT[:2],
    "django.middleware.locale.LocaleMiddleware",
    *DEFAULT[2:],
    "django.middleware.common.BrokenLinkEmailsMiddleware",
]


def between(*names: str) -> list[str]:
    """The default ones with the project's own behind every second."""
    own = itertools.cycle(f"{THIS}.{name}" for name in names)
    return [
        item for i, path in enumerate(DEFAULT) for item in ((path, next(own)) if i % 2 else (path,))
    ]


STACKS: dict[str, list[str]] = {
    "none": [],
    "default": DEFAULT,
    "every": EVERY,
    "own between": between("Marks", "Refuses", "Breaks"),
    "own outside": [f"{THIS}.Marks", *DEFAULT, f"{THIS}.Breaks"],
    "a subclass": [f"{THIS}.Subclass", *DEFAULT[1:]],
    "sync and async": between("only_sync", "only_async", "Marks"),
    "no sessions": ["django.middleware.csrf.CsrfViewMiddleware", DEFAULT[4]],
    "messages alone": [DEFAULT[5], DEFAULT[2]],
    "login required": [
        *DEFAULT,
        "django.contrib.auth.middleware.LoginRequiredMiddleware",
    ],
    "remote user": [
        *DEFAULT,
        "django.contrib.auth.middleware.RemoteUserMiddleware",
    ],
}

SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "https": {
        "SECURE_HSTS_SECONDS": 60,
        "SECURE_SSL_REDIRECT": True,
        "SECURE_REDIRECT_EXEMPT": [r"^plain"],
        "SECURE_PROXY_SSL_HEADER": ("HTTP_X_PROTO", "https"),
        "X_FRAME_OPTIONS": "sameorigin",
    },
    "csrf in sessions": {"CSRF_USE_SESSIONS": True},
    "save every": {"SESSION_SAVE_EVERY_REQUEST": True},
    "www": {"PREPEND_WWW": True, "DISALLOWED_USER_AGENTS": [re.compile("^bad")]},
    "hosts": {"ALLOWED_HOSTS": [".example.com", "127.0.0.1"]},
    "forwarded host": {"USE_X_FORWARDED_HOST": True, "ALLOWED_HOSTS": ["a.example"]},
    "session messages": {
        "MESSAGE_STORAGE": "django.contrib.messages.storage.session.SessionStorage"
    },
}

TOKEN = "a" * 32


def logged_in() -> str:
    store = SessionStore()
    store.update({"_auth_user_id": "7", "_auth_user_backend": f"{THIS}.Backend", "a": 5})
    user = get_user_model()(pk=7, password="!")
    store["_auth_user_hash"] = user.get_session_auth_hash()
    store.save()
    return str(store.session_key)


def requests() -> Iterator[tuple[str, str, dict[str, str]]]:
    cookie = f"sessionid={logged_in()}"
    for view in VIEWS:
        yield "GET", f"/{view.__name__}/", {}
    for query in ("do=set", "do=flush", "do=browser", "do=set&status=500", ""):
        yield "GET", f"/session/?{query}", {}
        yield "GET", f"/session/?{query}", {"Cookie": cookie}
    for place in ("who", "awho", "plain", "note", "meta", "token", "language"):
        yield "GET", f"/{place}/", {"Cookie": cookie}
        yield "GET", f"/{place}/", {"Cookie": f"{cookie}; csrftoken={TOKEN}; django_language=de"}
        yield "GET", f"/{place}/", {"Cookie": "sessionid=short; csrftoken=not-good"}
        yield "GET", f"/{place}/", {"Cookie": 'sessionid="quoted value"; csrftoken="x"'}
        yield "GET", f"/{place}/", {"Accept-Language": "de", "Accept-Encoding": "gzip"}
    for query in ("add=1", "read=1", "add=1&read=1"):
        yield "GET", f"/note/?{query}", {"Cookie": cookie}
    for query in ("refuse=1", "break=404", "break=403", "break=500", "break_after=1"):
        yield "GET", f"/plain/?{query}", {}
    yield "GET", "/broken/?why=catch", {}
    yield "GET", "/plain/?n=100", {"Accept-Encoding": "gzip"}
    yield "GET", "/stream/", {"Accept-Encoding": "gzip"}
    yield "GET", "/plain", {}
    yield "POST", "/plain", {}
    yield "GET", "/nowhere", {"Referer": "http://x.example/"}
    yield "GET", "/framed/", {}
    yield "HEAD", "/plain/", {}
    yield "OPTIONS", "/plain/", {}
    for place in ("form", "open"):
        for headers in (
            {},
            {"Cookie": f"csrftoken={TOKEN}"},
            {"Cookie": f"csrftoken={TOKEN}", "X-CSRFToken": TOKEN},
            {"Cookie": f"csrftoken={TOKEN}", "X-CSRFToken": "b" * 32},
            {"Cookie": f"csrftoken={TOKEN}", "X-CSRFToken": TOKEN, "Origin": "http://evil.test"},
            {"Cookie": f"csrftoken={TOKEN}", "X-CSRFToken": TOKEN, "X-Proto": "https"},
        ):
            yield "POST", f"/{place}/", headers
    for headers in (
        {"Host": "www.example.com"},
        {"Host": "EXAMPLE.com:8000"},
        {"Host": "example.com."},
        {"Host": "other.test"},
        {"Host": "under_score.example.com"},
        {"Host": "[::1]"},
        {"X-Forwarded-Host": "a.example"},
        {"X-Forwarded-Host": "evil.test"},
        {"User-Agent": "bad robot"},
        {"X-Proto": "https"},
        {"X-Proto": "https, http"},
    ):
        yield "GET", "/plain/", headers
        yield "GET", "/fields/", headers


RANDOM = [
    (re.compile(r"(csrftoken|sessionid)=[^;]+"), r"\1=..."),
    (re.compile(r"expires=[^;]+"), "expires=..."),
    (re.compile(r"messages=[^;]+"), "messages=..."),
]


def seen(answer: Answer) -> tuple[Any, ...]:
    headers = []
    for name, value in sorted(answer.headers.items()):
        text = value
        for pattern, put in RANDOM:
            text = pattern.sub(put, text)
        if name.lower() not in ("date", "etag"):
            headers.append((name.lower(), text))
    # A fresh token per response, and random bytes in gzip's file name.
    body = answer.body if answer.headers.get("Content-Encoding") != "gzip" else b""
    length = [] if body else [name for name, _ in headers if name != "content-length"]
    return answer.status, headers if body else length, len(body), body[:200]


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_as_djangos(stack: str, name: str, is_async: bool) -> None:
    options = {
        "MIDDLEWARE": STACKS[stack],
        "SESSION_ENGINE": "django.contrib.sessions.backends.signed_cookies",
        "AUTHENTICATION_BACKENDS": [f"{THIS}.Backend"],
        "ROOT_URLCONF": urlconf(*patterns(is_async)),
        "ALLOWED_HOSTS": ["*"],
        "LANGUAGE_CODE": "en-us",
        "LOGIN_URL": "/plain/",
        **SETTINGS[name],
    }
    with override_settings(**options):
        clear_url_caches()
        router = lift.build_router()[0] if is_async else None
        with (
            LiveServer(SyncHandler(), AsyncHandler() if is_async else None, router=router) as ours,
            LiveServer(
                DjangosSync(), DjangosAsync() if is_async else None, router=router
            ) as theirs,
        ):
            differ = []
            for method, target, headers in requests():
                found, wanted = (
                    seen(server.request(method, target, headers=headers))
                    for server in (ours, theirs)
                )
                if found != wanted:
                    differ.append((method, target, headers, found, wanted))
            assert not differ, differ[:3]
    clear_url_caches()


def test_what_runs_natively() -> None:
    with override_settings(MIDDLEWARE=STACKS["every"]):
        assert [item for item in middleware.explain() if not item.is_native] == []
        assert isinstance(SyncHandler()._middleware_chain, _quintette.Segment)
    with override_settings(MIDDLEWARE=[f"{THIS}.Subclass", f"{THIS}.only_sync", f"{THIS}.Marks"]):
        assert [item.reason for item in middleware.explain()] == [
            "is a subclass of SecurityMiddleware",
            "is a function of the project's",
            "is not Django's own",
        ]


def test_a_patched_middleware_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """As tracing agents do, before the chain is made or after."""
    with override_settings(MIDDLEWARE=DEFAULT):
        made = SyncHandler()
        monkeypatch.setattr(middleware.SecurityMiddleware, "process_response", lambda *a: 1 / 0)
        reasons = [item.reason for item in middleware.explain() if not item.is_native]
        assert reasons == ["SecurityMiddleware.process_response has been replaced"]
        segment: Any = made._middleware_chain
        _, outcome, _ = segment.leave(HttpRequest(), HttpResponse(), 1)
        assert isinstance(outcome, ZeroDivisionError)


def test_a_patched_handler_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    original = BaseHandler.load_middleware

    def patched(self: Any, is_async: bool = False) -> None:
        calls.append(is_async)
        original(self, is_async)

    monkeypatch.setattr(BaseHandler, "load_middleware", patched)
    with override_settings(MIDDLEWARE=DEFAULT):
        assert not isinstance(SyncHandler()._middleware_chain, _quintette.Segment)
    assert calls == [False]
