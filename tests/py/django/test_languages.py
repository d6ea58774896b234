"""LocaleMiddleware: its steps in C beside Django's own method, answer by answer."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.conf.urls.i18n import i18n_patterns
from django.core.cache import caches
from django.http import HttpRequest, HttpResponse
from django.middleware.locale import LocaleMiddleware
from django.test import override_settings
from django.urls import clear_url_caches, path
from django.utils import translation
from django.utils.translation import get_language, gettext
from live_server import LiveServer
from test_handler import urlconf
from test_native_middleware import DEFAULT, DjangosSync, seen

from quintette import API
from quintette.server import languages, lift
from quintette.server.handler import AsyncHandler, SyncHandler

# Requests know it. Other tests override CACHES, which puts another one in its place: signals are
# then sent by Django, with META, and a request whose META is made is chosen for by Django, too.
CACHES_LOCAL = caches._connections

THIS = "test_languages"
LOCALE = "django.middleware.locale.LocaleMiddleware"


@pytest.fixture(autouse=True)
def _known_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caches, "_connections", CACHES_LOCAL)


def page(request: Any) -> HttpResponse:
    return HttpResponse(f"{request.LANGUAGE_CODE} {get_language()} {gettext('Yes')}")


def varied(request: Any) -> HttpResponse:
    return HttpResponse(page(request).content, headers={"Vary": request.GET.get("vary", "Cookie")})


def said(request: HttpRequest) -> HttpResponse:
    return HttpResponse("said", headers={"Content-Language": "tlh"})


def other(request: HttpRequest) -> HttpResponse:
    translation.activate("pl")
    return HttpResponse("other")


def none(request: HttpRequest) -> HttpResponse:
    translation.deactivate_all()
    return HttpResponse("none", headers={"Content-Language": "tlh"})


def default(request: HttpRequest) -> HttpResponse:
    translation.deactivate()
    return HttpResponse("default")


VIEWS = [page, varied, said, other, none, default]


def patterns() -> list[Any]:
    return [path(f"{view.__name__}/", view) for view in VIEWS]


URLCONFS = {
    "no prefixes": patterns,
    "prefixes": lambda: [*i18n_patterns(*patterns()), path("bare/", page)],
    "default without": lambda: [
        *i18n_patterns(*patterns(), prefix_default_language=False),
        path("bare/", page),
    ],
}


def looks_first(get_response: Any) -> Any:
    """A project's own, which has META made."""

    def call(request: HttpRequest) -> Any:
        request.META["HTTP_ACCEPT_LANGUAGE"] = "ja"
        return get_response(request)

    return call


def own_urlconf(get_response: Any) -> Any:
    def call(request: Any) -> Any:
        request.urlconf = OWN_URLCONF
        return get_response(request)

    return call


OWN_URLCONF = urlconf(path("page/", page))


def settled(get_response: Any) -> Any:
    """The path is not the one that was sent."""

    def call(request: HttpRequest) -> Any:
        request.path_info = "/fr/page/"
        return get_response(request)

    return call


SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "default": {"MIDDLEWARE": [*DEFAULT[:2], LOCALE, *DEFAULT[2:]]},
    "few": {"LANGUAGES": [("de", "German"), ("pt-br", "Portuguese")], "LANGUAGE_CODE": "de"},
    "chinese": {"LANGUAGES": [("zh-hans", "s"), ("zh-hant", "t"), ("en", "e")]},
    "not a language": {"LANGUAGE_CODE": "xx-unknown"},
    "cookie": {"LANGUAGE_COOKIE_NAME": "speaks"},
    "looks first": {"MIDDLEWARE": [f"{THIS}.looks_first", LOCALE]},
    "own URLconf": {"MIDDLEWARE": [f"{THIS}.own_urlconf", LOCALE]},
    "another path": {"MIDDLEWARE": [f"{THIS}.settled", LOCALE]},
    "script name": {"FORCE_SCRIPT_NAME": "/mounted"},
    "append slash": {"MIDDLEWARE": [LOCALE, "django.middleware.common.CommonMiddleware"]},
}


def requests() -> Iterator[tuple[str, dict[str, str]]]:
    accepted = (
        "", "de", "DE-at", "fr;q=0.2, ja", "xx", "*", "pt", "zh-TW", "en-gb, de;q=0.9", "de;q=",
        "not a list", "d\xe9", ", ".join(["xx"] * 300 + ["de"]), "x" * 501, "de,\tfr",
    )  # fmt: skip
    for value in accepted:
        yield "/page/", {"Accept-Language": value}
        yield "/de/page/", {"Accept-Language": value}
    yield "/page/", {}
    for value in ("de", "xx", "", "zh-hant", "PT-BR", '"de"', "de-at", "x" * 501, "\xe9"):
        for more in ("", "; other=1"):
            cookie = f"django_language={value}{more}"
            yield "/page/", {"Cookie": cookie}
            yield "/page/", {"Cookie": cookie, "Accept-Language": "ja"}
    yield "/page/", {"Cookie": "speaks=fr; django_language=de"}
    yield "/page/", {"Accept_Language": "fr", "Accept-Language": "de"}
    for place in ("en", "en-us", "de", "DE", "de-at", "xx", "pt", "pt-br", "zh-hant-tw", "page",
                  "de%0A", "d%C3%A9", "de@x", "-de", "de-at-x-y", "", "%00",
                  "a" * 600):  # fmt: skip
        for rest in ("/page/", "/page", "/", "", "/nowhere"):
            yield f"/{place}{rest}", {"Accept-Language": "fr"}
    for view in VIEWS:
        for prefix in ("", "/de", "/nowhere"):
            yield f"{prefix}/{view.__name__}/", {"Accept-Language": "ja"}
    for vary in ("Accept-Language", "accept-language, cookie", "*", "", "Cookie,Accept", "a, *"):
        yield f"/varied/?vary={vary.replace(' ', '%20')}", {}
        yield f"/de/varied/?vary={vary.replace(' ', '%20')}", {}
    yield "/bare/", {"Accept-Language": "de"}
    yield "/bare", {"Accept-Language": "de"}


@contextmanager
def project(patterns: Any, **options: Any) -> Iterator[None]:
    options = {"MIDDLEWARE": [LOCALE], "ALLOWED_HOSTS": ["*"], "LANGUAGE_CODE": "en-us", **options}
    with override_settings(**options), override_settings(ROOT_URLCONF=urlconf(*patterns)):
        clear_url_caches()
        yield
    clear_url_caches()


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("urls", URLCONFS)
def test_as_djangos(urls: str, name: str) -> None:
    with (
        project(URLCONFS[urls](), **SETTINGS[name]),
        LiveServer(SyncHandler()) as ours,
        LiveServer(DjangosSync()) as theirs,
    ):
        differ = []
        for target, headers in requests():
            # Twice: what was found out the first time is kept.
            found, again, wanted = (
                seen(server.request("GET", target, headers=headers))
                for server in (ours, ours, theirs)
            )
            if (found, again) != (wanted, wanted):
                differ.append((target, headers, found, again, wanted))
        assert not differ, (len(differ), differ[:3])


def kept() -> languages.Known:
    """What the extension holds now."""
    held = [item for item in gc.get_objects() if isinstance(item, languages.Known)]
    assert len(held) == 1
    return held[0]


def language(server: LiveServer, **headers: str) -> str:
    found = server.request(
        "GET", "/page/", headers={k.replace("_", "-"): v for k, v in headers.items()}
    )
    assert found.status == 200, found.body
    return found.headers["Content-Language"]


def test_what_is_asked_once() -> None:
    with project(patterns()), LiveServer(SyncHandler()) as server:
        assert language(server, Accept_Language="fr") == "fr"
        assert language(server, Accept_Language="fr", Cookie="django_language=de") == "de"
        choices = kept().choices
        assert {b"fr": "fr", b"de\0fr": "de"}.items() <= {
            key: choice[1] for key, choice in choices.items() if choice
        }.items()
        # It is that which answers.
        choices[b"fr"] = choices[b"de\0fr"]
        assert language(server, Accept_Language="fr") == "de"


@pytest.mark.parametrize("place", ["aside", "in-thread"])
def test_before_typed_routes(place: str) -> None:
    api = API(middleware=True)

    @api.get("/aside")
    async def aside(request: Any) -> str:
        return f"{request.LANGUAGE_CODE} {get_language()}"

    @api.get("/in-thread")
    def in_thread(request: Any) -> str:
        return f"{request.LANGUAGE_CODE} {get_language()}"

    with (
        project([path("", api.urls)]),
        LiveServer(SyncHandler(), router=lift.build_router()[0]) as server,
    ):
        first = server.get(f"/{place}", **{"Accept-Language": "fr"})
        assert first.text == '"fr fr"'
        fields = ("Content-Language", "Vary")
        assert [first.headers[name] for name in fields] == ["fr", "Accept-Language"]
        # What was kept of it is what answers.
        known = kept()
        known.choices[b"fr"] = languages.asked(None, "de")
        known.fields["de"] = ("Content-Language", "de-x-kept")
        again = server.get(f"/{place}", **{"Accept-Language": "fr"})
        assert (again.text, again.headers["Content-Language"]) == ('"de de"', "de-x-kept")


def test_typed_routes_of_prefixes() -> None:
    """A response of a path with its language does not vary; a 404 of no path is Django's."""
    api = API(middleware=True)

    @api.get("/de/typed/<int:status>")
    async def typed(status: int) -> HttpResponse:
        return HttpResponse(get_language(), status=status, headers={"Vary": "Accept"})

    with (
        project([*i18n_patterns(*patterns()), path("", api.urls)]),
        LiveServer(SyncHandler(), router=lift.build_router()[0]) as lifted,
        LiveServer(DjangosSync(), AsyncHandler()) as plain,
    ):
        for status in (200, 404):
            found, wanted = (
                seen(server.get(f"/de/typed/{status}", **{"Accept-Language": "fr"}))
                for server in (lifted, plain)
            )
            assert found == wanted
            assert ("content-language", "de") in found[1]
            assert ("vary", "Accept") in found[1]


def test_what_is_kept_is_bounded() -> None:
    with project(patterns()), LiveServer(SyncHandler()) as server:
        for number in range(1001):
            assert language(server, Accept_Language=f"fr, x-{number}") == "fr"
        assert 0 < len(kept().choices) <= 1000


def test_settings_that_change() -> None:
    with project(patterns()), LiveServer(SyncHandler()) as server:
        assert language(server, Accept_Language="fr") == "fr"
        with override_settings(LANGUAGES=[("de", "German"), ("en", "English")]):
            assert language(server, Accept_Language="fr") == "en"
            with override_settings(LANGUAGE_CODE="de"):
                assert language(server, Accept_Language="fr") == "de"
        with override_settings(LANGUAGE_COOKIE_NAME="speaks"):
            assert language(server, Accept_Language="fr", Cookie="speaks=de") == "de"
        assert language(server, Accept_Language="fr", Cookie="speaks=de") == "fr"


def test_what_is_replaced_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    with project(patterns()), LiveServer(SyncHandler()) as server:
        assert language(server, Accept_Language="fr") == "fr"
        with monkeypatch.context() as patch:
            patch.setattr(translation, "get_language_from_request", lambda *a, **k: "pl")
            assert language(server, Accept_Language="fr") == "pl"
        assert language(server, Accept_Language="fr") == "fr"
        with monkeypatch.context() as patch:
            patch.setattr(
                LocaleMiddleware, "process_request", lambda *a: translation.activate("ja")
            )
            patch.setattr(LocaleMiddleware, "process_response", _marked)
            answer = server.get("/said/", **{"Accept-Language": "fr"})
            assert answer.headers["X-Language"] == "ja"


def _marked(self: Any, request: Any, response: Any) -> Any:
    response["X-Language"] = get_language()
    return response
