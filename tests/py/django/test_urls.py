"""The resolver in C against Django's own."""

from __future__ import annotations

import random
import re
import sys
import types
import uuid
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory, override_settings
from django.urls import (
    Resolver404,
    URLPattern,
    URLResolver,
    clear_url_caches,
    get_resolver,
    get_urlconf,
    include,
    path,
    re_path,
    register_converter,
    reverse,
    set_urlconf,
)
from django.urls import converters as stock
from django.urls.resolvers import LocalePrefixPattern, RoutePattern
from django.utils.translation import gettext_lazy, override
from live_server import LiveServer

from quintette.server.handler import SyncHandler

FIELDS = ["func", "args", "kwargs", "url_name", "app_name", "app_names", "namespace"]
FIELDS += ["namespaces", "route", "tried", "view_name", "captured_kwargs", "extra_kwargs"]
FIELDS += ["_func_path"]


class EvenConverter:
    regex = "[0-9]+"

    def to_python(self, value: str) -> int:
        if value == "404":
            raise Resolver404({"tried": [["by the converter"]]})
        if int(value) % 2:
            raise ValueError
        return int(value)

    def to_url(self, value: int) -> str:
        return str(value)


class LoudIntConverter(stock.IntConverter):
    def to_python(self, value: str) -> int:
        return -int(value)


register_converter(EvenConverter, "even")
register_converter(LoudIntConverter, "loud")


class OwnPattern(URLPattern):
    def resolve(self, path: str) -> Any:
        return super().resolve(path.removeprefix("own"))


class OwnResolver(URLResolver):
    def resolve(self, path: str) -> Any:
        return super().resolve(path.lower())


class CallableView:
    def __call__(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse()


def view(request: HttpRequest, **kwargs: Any) -> HttpResponse:
    match: Any = request.resolver_match
    return HttpResponse(f"{match.route} {match.kwargs} {kwargs}")


def urlconf(patterns: Any) -> types.ModuleType:
    module = types.ModuleType("urlconf")
    module.urlpatterns = patterns  # type: ignore[attr-defined]
    return module


@pytest.fixture(scope="module")
def handler() -> Iterator[SyncHandler]:
    with override_settings(MIDDLEWARE=[], ROOT_URLCONF=urlconf([])):
        yield SyncHandler()
    set_urlconf(None)
    clear_url_caches()


def found(match: Any) -> dict[str, Any]:
    return {name: getattr(match, name) for name in FIELDS} | {"repr": repr(match)}


def tried(error: Resolver404) -> Any:
    return error.args[0]


def both(handler: SyncHandler, module: types.ModuleType, text: str) -> tuple[Any, Any]:
    """What Django says, and what we say."""
    request = RequestFactory().get("/")
    request.path_info = text
    request.urlconf = module  # type: ignore[attr-defined]
    try:
        theirs: Any = found(get_resolver(module).resolve(text))  # type: ignore[arg-type]
    except Resolver404 as error:
        theirs = tried(error)
    try:
        triple = handler.resolve_request(request)
        match: Any = request.resolver_match
        assert triple[1] is match.args
        assert triple[2] is match.kwargs
        assert triple[0] == match.func
        ours: Any = found(match)
    except Resolver404 as error:
        ours = tried(error)
    return theirs, ours


# --- random URLconfs, random paths

PARAMETERS = ["<{}>", "<str:{}>", "<int:{}>", "<slug:{}>", "<uuid:{}>", "<path:{}>", "<even:{}>"]
PARAMETERS += ["<loud:{}>"]
LITERALS = ["a", "b/", "/", "-", "x/y", "é", "日", "a.b", "(", "$", "^", "0", "ab", ".", "\n"]
TEXTS = [
    "a",
    "b/",
    "/",
    "-",
    "x",
    "y",
    "é",
    "日",
    "😀",
    "a.b",
    "(",
    "0",
    "7",
    "12",
    "404",
    "\n",
    "A",
]
TEXTS += [
    "1" * 30,
    "9" * 5000,
    str(uuid.UUID(int=7)),
    str(uuid.UUID(int=7))[:-1],
    "ab",
    ".",
    "_",
    "٣",
]
TEXTS += [str(uuid.UUID(int=2**127)).upper(), "own", "de/", "en/"]
REGEXES = [
    r"^a",
    r"^(\d+)/",
    r"^(?P<x>\d+)",
    r"(?P<y>[a-z])(?P<z>\d)?",
    r"^$",
    r"b/?$",
    r"^a(b)?/",
    "",
]
VIEWS: list[Any] = [view, CallableView(), lambda request: HttpResponse()]
EXTRAS: list[Any] = [None, None, {"k": 1}, {"p0": "extra", "x": 2}]


def random_route(rng: random.Random) -> str:
    parts = []
    for i in range(rng.randint(0, 4)):
        # Two parameters at most: Django's regular expressions take their time over more.
        more = rng.random() < 0.5 and sum("<" in part for part in parts) < 2
        kind = rng.choice(PARAMETERS) if more else rng.choice(LITERALS)
        parts.append(kind.format(f"p{i}"))
    return "".join(parts)


def random_pattern(rng: random.Random, depth: int) -> Any:
    name = rng.choice([None, "name", "other"])
    extra = rng.choice(EXTRAS)
    function = rng.choice(VIEWS)
    if depth and rng.random() < 0.45:
        inner: Any = [random_pattern(rng, depth - 1) for _ in range(rng.randint(0, 4))]
        if rng.random() < 0.3:
            inner = (inner, "app"), rng.choice([None, "ns"])
            included: Any = include(*inner)
        else:
            included = include(inner)
        if rng.random() < 0.1 and depth == 3:
            return URLResolver(LocalePrefixPattern(), included[0])
        if rng.random() < 0.1:
            return OwnResolver(RoutePattern(random_route(rng)), included[0], extra)
        make = path if rng.random() < 0.7 else re_path
        return make(random_route(rng) if make is path else rng.choice(REGEXES), included, extra)
    dice = rng.random()
    if dice < 0.65:
        return path(random_route(rng), function, extra, name=name)
    if dice < 0.9:
        return re_path(rng.choice(REGEXES), function, extra, name=name)
    if dice < 0.95:
        return path(gettext_lazy("a"), function, extra, name=name)
    return OwnPattern(RoutePattern(random_route(rng), is_endpoint=True), function, extra)


def random_path(rng: random.Random) -> str:
    return rng.choice(["/", "/", "/", ""]) + "".join(rng.choices(TEXTS, k=rng.randint(0, 5)))


def follow(rng: random.Random, patterns: Any, depth: int = 0) -> str:
    """A path that a pattern is likely to match."""
    if not patterns or depth > 4:
        return ""
    item = rng.choice(patterns)
    text = str(item.pattern).strip("^$")
    for kind, value in [
        ("str", "x"),
        ("int", "12"),
        ("slug", "a-b"),
        ("uuid", str(uuid.UUID(int=7))),
        ("path", "b/é"),
        ("even", "8"),
        ("loud", "3"),
    ]:
        while f"<{kind}:" in text:
            before, _, after = text.partition(f"<{kind}:")
            text = before + value + after.partition(">")[2]
    while "<p" in text:
        before, _, after = text.partition("<p")
        text = before + rng.choice(["x", "12", "404"]) + after.partition(">")[2]
    text = text.replace(r"(\d+)", "5")
    return text + follow(rng, getattr(item, "url_patterns", None), depth + 1)


@pytest.mark.parametrize("seed", range(120))
def test_as_django_resolves(handler: SyncHandler, seed: int) -> None:
    rng = random.Random(seed)
    module = urlconf([random_pattern(rng, 3) for _ in range(rng.randint(1, 8))])
    language = rng.choice(["en", "de"])
    with override(language):
        for _ in range(30):
            text = random_path(rng)
            if rng.random() < 0.6:
                text = "/" + follow(rng, module.urlpatterns)
            theirs, ours = both(handler, module, text)
            assert ours == theirs, (seed, text)
            if "kwargs" in theirs:
                assert list(ours["kwargs"]) == list(theirs["kwargs"])
                kinds = [type(value) for value in theirs["kwargs"].values()]
                assert [type(value) for value in ours["kwargs"].values()] == kinds


def test_most_random_paths_say_something(handler: SyncHandler) -> None:
    """Else the test above would test nothing."""
    hits = 0
    for seed in range(120):
        rng = random.Random(seed)
        module = urlconf([random_pattern(rng, 3) for _ in range(rng.randint(1, 8))])
        theirs, _ = both(handler, module, "/" + follow(rng, module.urlpatterns))
        hits += "kwargs" in theirs
    assert hits > 50


# --- what is done where

LONG = str(uuid.UUID(int=7))


@pytest.mark.parametrize(
    ("route", "text"),
    [
        ("", "/"),
        ("about/", "/about/"),
        ("<x>", "/é"),
        ("<int:x>/<slug:y>/", "/12/a-b/"),
        ("<uuid:x>-<str:y>", f"/{LONG}-z"),
        ("a/<path:x>", "/a/b/c"),
        ("<int:x>", f"/{'9' * 200}"),
    ],
)
def test_a_route_needs_no_python(handler: SyncHandler, route: str, text: str) -> None:
    module = urlconf([path("never/", view), path("", include([path(route, view)]))])
    request = RequestFactory().get("/")
    request.path_info = text
    request.urlconf = module  # type: ignore[attr-defined]
    handler.resolve_request(request)
    called = []

    def profile(frame: Any, event: str, arg: Any) -> None:
        if event == "call":
            called.append(frame.f_code.co_qualname)

    sys.setprofile(profile)
    handler.resolve_request(request)
    sys.setprofile(None)
    assert not {"URLResolver.resolve", "URLPattern.resolve", "RoutePattern.match"} & set(called)


@pytest.mark.parametrize(
    "name", ["URLResolver.resolve", "URLPattern.resolve", "RoutePattern.match"]
)
def test_a_replaced_method_is_called(
    handler: SyncHandler, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    from django.urls import resolvers

    owner, method = name.split(".")
    cls = getattr(resolvers, owner)
    original = getattr(cls, method)
    seen = []

    def replaced(self: Any, text: str) -> Any:
        seen.append(text)
        return original(self, text)

    module = urlconf([path("x", view)])
    both(handler, module, "/x")
    monkeypatch.setattr(cls, method, replaced)
    theirs, ours = both(handler, module, "/x")
    assert (ours, len(seen)) == (theirs, 2)


def test_patterns_may_be_changed_in_place(handler: SyncHandler) -> None:
    inner: list[Any] = [path("a", view, name="1")]
    module = urlconf([path("i/", include(inner))])
    assert both(handler, module, "/i/a")[1]["url_name"] == "1"
    inner.insert(0, path("<x>", view, name="2"))
    assert both(handler, module, "/i/a")[1]["url_name"] == "2"
    inner[0] = path("b", view, name="3")
    assert both(handler, module, "/i/a")[1]["url_name"] == "1"
    module.urlpatterns[0].url_patterns[1].callback = len
    assert both(handler, module, "/i/a")[1]["func"] is len


def test_a_converter_that_reverse_has_replaced(handler: SyncHandler) -> None:
    # Django puts an outer pattern's converters into that of a namespace within.
    inner = path("<int:x>/replaced/", include(([path("", view, name="v")], "app"), "deep"))
    module = urlconf([path("<loud:x>/", include([inner]))])
    text = "/1/2/replaced/"
    assert both(handler, module, text)[1]["kwargs"] == {"x": 2}
    with suppress(re.error, ImproperlyConfigured):  # two groups of one name
        reverse("deep:v", urlconf=module, kwargs={"x": 3})  # type: ignore[arg-type]
    theirs, ours = both(handler, module, text)
    assert ours == theirs
    assert ours["kwargs"] == {"x": -2}


def test_more_digits_than_python_converts(handler: SyncHandler) -> None:
    module = urlconf([path("<int:x>", view), path("<str:y>", len)])
    theirs, ours = both(handler, module, "/" + "9" * 5000)
    assert ours == theirs
    assert ours["func"] is len


def test_no_urlconf(handler: SyncHandler) -> None:
    request = RequestFactory().get("/")
    request.urlconf = "no_such_module"  # type: ignore[attr-defined]
    with pytest.raises(ModuleNotFoundError):
        handler.resolve_request(request)
    request.urlconf = []  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="unhashable"):
        handler.resolve_request(request)


def test_very_deep_urlconfs(handler: SyncHandler) -> None:
    patterns: list[Any] = [path("x", view)]
    for _ in range(40):
        patterns = [path("a", include(patterns))]
    theirs, ours = both(handler, urlconf(patterns), f"/{'a' * 40}x")
    assert ours == theirs
    assert ours["func"] is view


def test_the_views_kwargs_are_the_matchs(handler: SyncHandler) -> None:
    # View middleware may change them, and the match shows it.
    request = RequestFactory().get("/")
    request.path_info = "/5"
    request.urlconf = urlconf([path("<int:x>", view)])  # type: ignore[attr-defined]
    _, _, kwargs = handler.resolve_request(request)
    kwargs["x"] = 6
    match: Any = request.resolver_match
    assert (match.kwargs, match.captured_kwargs) == ({"x": 6}, {"x": 5})


# --- through the server


def test_resolver_match_of_our_requests(live: Any) -> None:
    def touch(request: Any, n: int) -> HttpResponse:
        import copy

        first = request.resolver_match
        assert first is request.resolver_match
        assert copy.copy(request).resolver_match is first
        request.resolver_match = "mine"
        return HttpResponse(f"{first.kwargs} {first.view_name} {request.resolver_match}")

    module = types.ModuleType("urls_of_requests")
    module.urlpatterns = [  # type: ignore[attr-defined]
        path("t/<int:n>", touch, name="touched"),
        path("v/<slug:s>", view),
    ]
    sys.modules[module.__name__] = module
    server: LiveServer = live(module.__name__)
    for _ in range(2):
        assert server.get("/t/7").text == "{'n': 7} touched mine"
        assert server.get("/v/a-b").text == "v/<slug:s> {'s': 'a-b'} {'s': 'a-b'}"
    assert server.get("/v/").status == 404


def test_urlconf_of_the_request(live: Any) -> None:
    def middleware(get_response: Any) -> Any:
        def inner(request: Any) -> Any:
            assert request.resolver_match is None
            if request.path == "/other":
                request.urlconf = "urls_of_others"
            return get_response(request)

        return inner

    this: Any = sys.modules[__name__]
    this.choose = middleware
    for name in ("urls_at_first", "urls_of_others"):
        module: Any = types.ModuleType(name)
        module.urlpatterns = [path("<x>", lambda r, x: HttpResponse(get_urlconf()))]
        sys.modules[name] = module
    server: LiveServer = live("urls_at_first", MIDDLEWARE=[f"{__name__}.choose"])
    assert server.get("/this").text == "urls_at_first"
    assert server.get("/other").text == "urls_of_others"
    assert server.get("/this").text == "urls_at_first"
    with override_settings(ROOT_URLCONF="urls_of_others"):
        assert server.get("/this").text == "urls_of_others"


def test_forced_script_name(live: Any) -> None:
    module: Any = types.ModuleType("urls_below")
    module.urlpatterns = [path("x", lambda r: HttpResponse(f"{r.path} {r.path_info}"))]
    sys.modules[module.__name__] = module
    server: LiveServer = live(module.__name__, FORCE_SCRIPT_NAME="/app")
    assert server.get("/app/x").text == "/app/x /x"
    assert server.get("/x").text == "/app/x /x"
