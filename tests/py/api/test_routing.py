"""Paths, methods, names, routers, and what Django is told of them."""

from __future__ import annotations

import types
from typing import Annotated, Any
from unittest.mock import patch

import pytest
from django.conf import settings
from django.db.transaction import non_atomic_requests
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from django.urls import NoReverseMatch, include, path, re_path, register_converter, reverse
from django.urls.converters import StringConverter
from django.urls.resolvers import URLResolver, get_resolver
from live import MakeClient

from quintette import API, Depends, Path, RegistrationError, Router
from quintette.api import lift


def _answer(text: str) -> Any:
    async def handler() -> str:
        return text

    return handler


def test_methods(connect: MakeClient) -> None:
    api = API()
    for method in ("get", "post", "put", "patch", "delete", "query"):
        getattr(api, method)("/x", name=method)(_answer(method))
    client = connect(api)
    for method in ("get", "post", "put", "patch", "delete", "query"):
        assert client.request(method, "/x").json() == method
    response = client.head("/x")
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-type"] == "application/json"


def test_several_methods(connect: MakeClient) -> None:
    api = API()

    @api.route("/x", methods=["get", "POST"])
    def handler(request) -> str:  # type: ignore[no-untyped-def]
        return str(request.method)

    client = connect(api)
    assert client.get("/x").json() == "GET"
    assert client.post("/x").json() == "POST"


def test_a_method_that_the_path_has_not(connect: MakeClient) -> None:
    api = API()
    api.get("/x")(_answer("x"))
    api.post("/x", name="p")(_answer("x"))
    client = connect(api)
    response = client.delete("/x")
    assert response.status_code == 405
    assert response.headers["allow"] == "GET, HEAD, POST, OPTIONS"
    assert response.headers["content-type"] == "application/problem+json"
    response = client.options("/x")
    assert (response.status_code, response.content) == (204, b"")
    assert response.headers["allow"] == "GET, HEAD, POST, OPTIONS"


def test_a_wider_pattern_that_has_the_method(connect: MakeClient) -> None:
    api = API()
    api.get("/x/a", name="a")(_answer("a"))

    @api.post("/x/{v}")
    def wide(v: str) -> str:
        return f"wide {v}"

    client = connect(api)
    assert client.get("/x/a").json() == "a"
    assert client.post("/x/a").json() == "wide a"
    response = client.delete("/x/a")
    assert response.status_code == 405
    assert response.headers["allow"] == "GET, HEAD, POST, OPTIONS"


def test_own_options_and_head(connect: MakeClient) -> None:
    api = API()
    api.options("/x", headers={"X-A": "o"})(_answer("x"))
    api.head("/x", name="h", headers={"X-A": "h"})(_answer("x"))
    api.get("/x", name="g")(_answer("x"))
    client = connect(api)
    assert client.options("/x").headers["x-a"] == "o"
    assert client.head("/x").headers["x-a"] == "h"


ORDERS: list[tuple[list[str], dict[str, str]]] = [
    (["/a/{v}", "/a/b"], {"/a/b": "/a/b", "/a/c": "/a/{v}"}),
    (["/a/{v}", "/a/{v:int}"], {"/a/1": "/a/{v:int}", "/a/c": "/a/{v}"}),
    (["/a/{v:path}", "/a/{v}"], {"/a/1": "/a/{v}", "/a/c/d": "/a/{v:path}"}),
    (["/{v}/c", "/a/{w}"], {"/a/c": "/a/{w}", "/b/c": "/{v}/c"}),
    (["/{v}", "/{v}.json"], {"/x.json": "/{v}.json", "/x": "/{v}"}),
    (["/{v:slug}", "/{v:uuid}"], {"/0b0e4ab4-1f6c-4d0b-9e6f-2b8d3c1c9c57": "/{v:uuid}"}),
]


@pytest.mark.parametrize(("patterns", "expected"), ORDERS)
@pytest.mark.parametrize("step", [1, -1])
def test_the_narrower_pattern_wins(
    connect: MakeClient, patterns: list[str], expected: dict[str, str], step: int
) -> None:
    """Whatever the order of registration, in the router in C and in Django's resolver."""
    api = API()
    for index, pattern in enumerate(patterns[::step]):

        def handler(v: str = "", w: str = "", *, me: str = pattern) -> str:
            return me

        names = [name for name in ("v", "w") if "{" + name in pattern]
        handler.__annotations__ = {"return": str}
        api.get(pattern, name=f"n{index}")(_fitting(names, pattern))
    client = connect(api)
    for url, pattern in expected.items():
        assert client.get(url).json() == pattern


def _fitting(names: list[str], text: str) -> Any:
    if names == ["v"]:

        def v_handler(v: str) -> str:
            return text

        return v_handler
    if names == ["w"]:

        def w_handler(w: str) -> str:
            return text

        return w_handler
    return _answer(text)


def test_the_same_path_with_other_names(connect: MakeClient) -> None:
    api = API()

    @api.get("/cities/{id}")
    def read(id: int) -> str:
        return f"read {id}"

    @api.put("/cities/{city_id}")
    def update(city_id: int) -> str:
        return f"update {city_id}"

    client = connect(api)
    assert client.get("/cities/1").json() == "read 1"
    assert client.put("/cities/2").json() == "update 2"
    assert client.post("/cities/2").status_code == 405


def _nested() -> API:
    def tenant_of(tenant: str) -> str:
        return tenant.upper()

    inner = Router("/cities", tags=["cities"])
    outer = Router("/{tenant}", depends=[Depends(tenant_of)])
    api = API(prefix="/v1")

    @inner.get("")
    def index(tenant: Annotated[str, Path()]) -> str:
        return tenant

    @inner.get("/{id}")
    def one(id: int, tenant: Annotated[str, Depends(tenant_of)]) -> list[Any]:
        return [tenant, id]

    outer.include(inner)
    api.include(outer, prefix="/t")
    return api


def test_routers(connect: MakeClient) -> None:
    client = connect(_nested())
    assert client.get("/v1/t/acme/cities").json() == "acme"
    assert client.get("/v1/t/acme/cities/3").json() == ["ACME", 3]
    assert client.get("/v1/t/acme/cities/x").status_code == 404
    assert client.get("/t/acme/cities").status_code == 404


def test_what_is_known_of_a_route() -> None:
    api = API()
    router = Router("/r", tags=["a"])

    @router.get("/x", tags=["b"], deprecated=True)
    def handler() -> None:
        """Does it.

        And more.
        """

    api.include(router, tags=["c"])
    [mounted] = api.routes
    assert mounted.pattern.django == "r/x"
    assert mounted.tags == ("c", "a", "b")
    assert (mounted.route.summary, mounted.route.description) == ("Does it", "And more.")
    assert mounted.route.deprecated


def _urlconf(*patterns: Any) -> Any:
    module = types.ModuleType("urls_of_a_test")
    module.urlpatterns = list(patterns)  # type: ignore[attr-defined]
    return module


def test_reverse() -> None:
    api = API()

    @api.get("/cities/{id}")
    def city(id: int) -> None: ...

    @api.get("/cities", name="list")
    def cities() -> None: ...

    @api.post("/cities")
    def create() -> None: ...

    with override_settings(ROOT_URLCONF=_urlconf(path("api/", api.urls))):
        assert reverse("city", args=[3]) == reverse("city", kwargs={"id": 3}) == "/api/cities/3"
        assert reverse("list") == reverse("create") == "/api/cities"
        with pytest.raises(NoReverseMatch):
            reverse("cities")


def test_namespaces() -> None:
    one, two = API(app_name="geo", namespace="one"), API(app_name="geo", namespace="two")
    for api in (one, two):
        api.get("/x", name="x")(_answer("x"))
    urls = _urlconf(path("1/", one.urls), path("2/", two.urls))
    with override_settings(ROOT_URLCONF=urls):
        assert reverse("one:x") == "/1/x"
        assert reverse("two:x") == "/2/x"


# --- lifting ----------------------------------------------------------------------------


class IsoConverter(StringConverter):
    regex = "[A-Z]{2}"

    def to_python(self, value: str) -> str:
        if value == "XX":
            raise ValueError(value)
        return value.lower()

    def to_url(self, value: str) -> str:
        return value.upper()


register_converter(IsoConverter, "iso")


def view(request: Any, **kwargs: Any) -> HttpResponse:
    return HttpResponse("django")


def _small(**options: Any) -> Any:
    api = API(**options)
    api.get("/cities", name="cities")(_answer("x"))

    @api.get("/cities/{id}")
    def city(id: int) -> int:
        return id

    return api.urls


def _lift(*patterns: Any) -> tuple[Any, set[str], dict[str, str]]:
    router, report = lift(get_resolver(_urlconf(*patterns)))
    return router, {str(r) for r in report.routes}, {k.path: k.reason for k in report.kept}


BOTH = {"GET /api/cities", "GET /api/cities/<int:id>"}
LIFTS: list[tuple[Any, set[str]]] = [
    (lambda api: [path("api/", api)], BOTH),
    (lambda api: [path("", view), path("api/", api)], BOTH),
    (lambda api: [path("admin/", view), path("api/", api)], BOTH),
    (lambda api: [path("api/", api), re_path("^", view)], BOTH),
    (lambda api: [path("api/", include([path("", api)]))], BOTH),
    (lambda api: [re_path("^other/.*", view), path("api/", api)], set()),  # its prefix is not known
    (lambda api: [re_path("^", view), path("api/", api)], set()),
    (lambda api: [re_path("^api/", api)], set()),
    (lambda api: [path("api/cities", view), path("api/", api)], {"GET /api/cities/<int:id>"}),
    (lambda api: [path("api/cities/3", view), path("api/", api)], {"GET /api/cities"}),
    (lambda api: [path("api/cities/x", view), path("api/", api)], BOTH),
    (lambda api: [path("api/<slug:x>", view), path("api/", api)], {"GET /api/cities/<int:id>"}),
    (lambda api: [path("api/<int:x>", view), path("api/", api)], BOTH),
    (lambda api: [path("<path:x>", view), path("api/", api)], set()),
    (lambda api: [path("api/<path:x>/y", view), path("api/", api)], set()),
    (lambda api: [path("<str:x>/", include([path("z", view)])), path("api/", api)], BOTH),
    (lambda api: [path("api/", api, {"extra": 1})], set()),
    (lambda api: [path("a/", include([re_path("b", view)])), path("api/", api)], BOTH),
]


@pytest.mark.parametrize(("patterns", "expected"), LIFTS)
def test_lift(patterns: Any, expected: set[str]) -> None:
    router, routes, kept = _lift(*patterns(_small()))
    assert routes == expected
    assert len(kept) == 2 - len(expected)
    assert all(kept.values())
    assert (router is None) == (not expected)
    for route in routes:
        method, pattern = route.split()
        assert router.match(method, pattern.replace("<int:id>", "3").encode()) is not None


def test_lift_under_a_parameter() -> None:
    api = API()

    @api.get("/x/{id}")
    def handler(id: int, tenant: Annotated[str, Path()]) -> None: ...

    router, routes, _ = _lift(path("<slug:tenant>/", api.urls))
    assert routes == {"GET /<slug:tenant>/x/<int:id>"}
    assert router.match("GET", b"/acme/x/3")[1] == (b"acme", b"3")


def test_a_parameter_that_the_mount_does_not_provide() -> None:
    api = API()

    @api.get("/x")
    def handler(tenant: Annotated[str, Path()]) -> None: ...

    _, routes, kept = _lift(path("api/", api.urls))
    assert routes == set()
    assert "tenant" in kept["/api/x"]


def test_two_apis_that_overlap() -> None:
    wide, narrow = API(), API()

    @wide.get("/{v}")
    def w(v: str) -> None: ...

    narrow.get("/x", name="n")(_answer("x"))
    _, routes, kept = _lift(path("", wide.urls), path("", narrow.urls))
    assert routes == {"GET /<str:v>"}
    assert "wider" in kept["/x"]
    _, routes, _ = _lift(path("", narrow.urls), path("", wide.urls))
    assert routes == {"GET /x", "GET /<str:v>"}


def test_script_name() -> None:
    with override_settings(FORCE_SCRIPT_NAME="/app"):
        router, _, _ = _lift(path("api/", _small()))
    assert router.match("GET", b"/app/api/cities") is not None
    assert router.match("GET", b"/api/cities") is not None


STOCK = "django.middleware.common.CommonMiddleware"
SESSION = "django.contrib.sessions.middleware.SessionMiddleware"
REMOTE_USER = "django.contrib.auth.middleware.RemoteUserMiddleware"
GZIP = "django.middleware.gzip.GZipMiddleware"


@pytest.mark.parametrize(
    ("middleware", "needed", "expected"),
    [
        ([STOCK, SESSION], None, BOTH),
        ([STOCK], True, BOTH),
        ([GZIP], True, set()),
        ([GZIP], None, BOTH),
        ([SESSION, "project.middleware.Blocklist"], [SESSION], BOTH),
        ([SESSION, GZIP], [GZIP], set()),
        ([STOCK, "project.middleware.Blocklist"], None, set()),
        (["django.contrib.auth.middleware.LoginRequiredMiddleware"], None, set()),
        (["project.middleware.Blocklist"], False, BOTH),
    ],
)
def test_middleware_is_not_skipped_unasked(
    middleware: list[str], needed: bool | list[str] | None, expected: set[str]
) -> None:
    with override_settings(MIDDLEWARE=middleware):
        _, routes, kept = _lift(path("api/", _small(middleware=needed)))
    assert routes == expected
    assert all("would be skipped" in reason for reason in kept.values())


def test_a_part_that_is_not_there() -> None:
    with (
        override_settings(MIDDLEWARE=[STOCK]),
        pytest.raises(RegistrationError, match="SessionMiddleware' is not in MIDDLEWARE"),
    ):
        _lift(path("api/", _small(middleware=[SESSION])))


def test_what_is_about_requests_is_for_handlers_that_take_it() -> None:
    api = API()

    @api.get("/x")
    def handler(request: HttpRequest) -> None: ...

    with override_settings(MIDDLEWARE=[STOCK]):
        assert _lift(path("", api.urls))[1] == {"GET /x"}
    with override_settings(MIDDLEWARE=[STOCK, SESSION]):
        assert _lift(path("", api.urls))[1] == {"GET /x"}
    with override_settings(MIDDLEWARE=[REMOTE_USER]):
        assert "RemoteUserMiddleware" in _lift(path("", api.urls))[2]["/x"]
        assert _lift(path("api/", _small()))[1] == BOTH


def test_atomic_requests() -> None:
    api = API()
    api.get("/atomic")(_nothing)

    @api.get("/own")
    @non_atomic_requests
    def own() -> None: ...

    with patch.dict(settings.DATABASES["default"], ATOMIC_REQUESTS=True):
        _, routes, kept = _lift(path("", api.urls))
    assert routes == {"GET /own"}
    assert "ATOMIC_REQUESTS" in kept["/atomic"]


def test_the_root_of_the_urlconf_is_the_default() -> None:
    with override_settings(ROOT_URLCONF=_urlconf(path("api/", _small()))):
        assert isinstance(get_resolver(), URLResolver)
        _, report = lift()
    assert {str(route) for route in report.routes} == BOTH


@pytest.mark.parametrize(
    ("url", "expected"), [("/c/FR/x", "fr"), ("/c/XX/x", None), ("/c/fr/x", None), ("/c/F/x", None)]
)
def test_custom_converters(connect: MakeClient, url: str, expected: str | None) -> None:
    api = API()

    @api.get("/c/{country:iso}/x")
    def handler(country: str) -> str:
        return country

    response = connect(api).get(url)
    if expected is None:
        assert response.status_code == 404
    else:
        assert response.json() == expected


# --- mistakes ---------------------------------------------------------------------------


def _register(path_: str, function: Any, **options: Any) -> None:
    API().get(path_, **options)(function)


def _nothing() -> None: ...
def _args(*args: int) -> None: ...
def _positional(a: int, /) -> None: ...
def _thing(a: Any) -> None: ...
def _body(a: list[dict[str, int]]) -> None: ...
def _id(id: int = 3) -> None: ...
def _generator() -> Any:
    yield 1


MISTAKES: list[tuple[Any, str]] = [
    (lambda: _register("/{id}", _nothing), "'id'.*nobody takes it"),
    (lambda: _register("/{id", _nothing), "malformed path"),
    (lambda: _register("/{a}/{a}", _thing), "occurs twice"),
    (lambda: _register("/{a:nope}", _thing), "unknown converter 'nope'"),
    (lambda: _register("/a b", _nothing), "malformed path"),
    (lambda: _register("/", _args), r"'args'.*\*args"),
    (lambda: _register("/", _positional), "'a'.*positional-only"),
    (lambda: _register("/", _body), "'a'.*would be the body"),
    (lambda: _register("/{id}", _id), "'id'.*no default"),
    (lambda: _register("/", _generator), "yields"),
    (lambda: _register("/", _nothing, status=99), "status"),
    (lambda: _register("/", _nothing, headers={"a": "b\r\n"}), "invalid value of header"),
    (lambda: API().route("/", methods=["FETCH"])(_nothing), "unknown method FETCH"),
    (lambda: API().route("/", methods=[])(_nothing), "unknown method"),
    (lambda: API(namespace="x"), "app_name"),
    (lambda: API().include(API()), "mounted in a URLconf"),
    (lambda: Router(depends=[3]), "no Depends"),
]


@pytest.mark.parametrize(("mistake", "message"), MISTAKES)
def test_mistakes(mistake: Any, message: str) -> None:
    with pytest.raises(RegistrationError, match=message):
        mistake()


def test_an_error_names_the_place() -> None:
    with pytest.raises(RegistrationError, match=r"test_routing\._args \(.*test_routing\.py:\d+\)"):
        _register("/", _args)


def test_the_same_path_twice() -> None:
    api = API()
    api.get("/x/{v}")(_fitting(["v"], ""))
    api.get("/x/{w}", name="other")(_fitting(["w"], ""))
    with pytest.raises(RegistrationError, match=r"answered by .*v_handler"):
        _ = api.urls


def test_too_late() -> None:
    api = API()
    router = Router()
    api.include(router)
    _ = api.urls
    for late in (api, router):
        with pytest.raises(RegistrationError, match="in a URLconf already"):
            late.get("/late")(_nothing)


def test_decorators_give_the_function_back() -> None:
    assert API().get("/")(_nothing) is _nothing
