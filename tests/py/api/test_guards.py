"""What stands before a handler, whoever serves it."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from live import MakeClient

from quintette import API, JSON, HTTPError, RegistrationError, Router, Stream, in_loop
from quintette.api import Guard, Hook
from quintette.api.guards import Order


def _hook(order: int, **functions: Any) -> Hook:
    made = type("Ordered", (Hook,), {"order": order})(**functions)
    assert isinstance(made, Hook)
    return made


def _marks(name: str, log: list[str] | None = None) -> dict[str, Any]:
    def before(request: HttpRequest) -> None:
        seen = request.__dict__.setdefault("seen", [])
        seen.append(name)

    def after(request: HttpRequest, status: int, fields: list[tuple[str, str]]) -> None:
        fields.append(("X-Seen", ",".join(request.__dict__["seen"])))
        fields.append(("X-After", f"{name} {status}"))

    return {"before": before, "after": after}


def _api(*guards: Any, **options: Any) -> API:
    api = API(guards=guards)

    @api.get("/async", **options)
    async def a(fail: bool = False) -> dict[str, str]:
        if fail:
            raise HTTPError(409, "no")
        return {"from": "async"}

    @api.get("/waits", **options)
    async def w(fail: bool = False) -> dict[str, str]:
        await asyncio.sleep(0)
        if fail:
            raise HTTPError(409, "no")
        return {"from": "waits"}

    @api.get("/thread", **options)
    def t(fail: bool = False) -> dict[str, str]:
        if fail:
            raise HTTPError(409, "no")
        return {"from": "thread"}

    @api.get("/loop", **options)
    @in_loop
    def c(fail: bool = False) -> dict[str, str]:
        if fail:
            raise HTTPError(409, "no")
        return {"from": "loop"}

    return api


PLACES = ["async", "waits", "thread", "loop"]


@pytest.mark.parametrize("place", PLACES)
def test_outer_ones_first_and_back_again(connect: MakeClient, place: str) -> None:
    inner, outer = _hook(Order.ALLOW, **_marks("in")), _hook(Order.CORS, **_marks("out"))
    response = connect(_api(inner, outer)).get(f"/{place}")
    assert response.json() == {"from": place}
    # Fields of the same name are one list under Django.
    afters = ",".join(v.replace(", ", ",") for n, v in response.headers.items() if n == "x-after")
    assert afters == "in 200,out 200"
    assert response.headers["x-seen"].startswith("out,in")


@pytest.mark.parametrize("place", PLACES)
def test_errors_pass_the_guards_too(connect: MakeClient, place: str) -> None:
    response = connect(_api(_hook(Order.CORS, **_marks("out")))).get(f"/{place}?fail=1")
    assert (response.status_code, response.headers["x-after"]) == (409, "out 409")
    refused = connect(_api(_hook(Order.CORS, **_marks("out")))).get(f"/{place}?fail=maybe")
    assert (refused.status_code, refused.headers["x-after"]) == (422, "out 422")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("made", ["response", "django", "error"])
def test_a_guard_answers(connect: MakeClient, place: str, is_async: bool, made: str) -> None:
    def give() -> Any:
        if made == "error":
            raise HTTPError(403, "not you")
        return JSON({"who": 1}, status=403) if made == "response" else HttpResponse("x", status=403)

    async def later(request: HttpRequest) -> Any:
        await asyncio.sleep(0)
        return give()

    def now(request: HttpRequest) -> Any:
        return give()

    inner = _hook(Order.CACHE, before=lambda request: pytest.fail("was not refused"))
    api = _api(
        _hook(Order.AUTH, before=later if is_async else now),
        _hook(Order.CORS, **_marks("out")),
        inner,
    )
    response = connect(api).get(f"/{place}")
    assert response.status_code == 403
    assert response.headers["x-after"] == "out 403"


@pytest.mark.parametrize("place", PLACES)
def test_one_that_waits_and_lets_go_on(connect: MakeClient, place: str) -> None:
    async def before(request: HttpRequest) -> None:
        await asyncio.sleep(0.001)

    api = _api(_hook(Order.AUTH, before=before), _hook(Order.ALLOW, before=before))
    for _ in range(3):
        assert connect(api).get(f"/{place}").json() == {"from": place}


@pytest.mark.parametrize("place", PLACES)
def test_a_guard_that_raises_afterwards(connect: MakeClient, place: str) -> None:
    def after(request: HttpRequest, status: int, fields: list[tuple[str, str]]) -> None:
        raise RuntimeError("broken")

    api = _api(_hook(Order.ALLOW, after=after), _hook(Order.CORS, **_marks("out")))
    response = connect(api).get(f"/{place}")
    assert (response.status_code, response.headers["x-after"]) == (500, "out 500")


_who: ContextVar[str] = ContextVar("who", default="nobody")


@pytest.mark.parametrize("waits", [False, True])
def test_they_run_in_the_context_of_the_request(
    connect: MakeClient, backend: str, waits: bool
) -> None:
    """What one sets is seen by the handler and behind it, and by no other request."""
    _who.set("nobody")  # Django's handlers in this thread share its context

    def before(request: HttpRequest) -> None:
        # Of other hosts, some serve several requests in one context.
        assert _who.get() == "nobody" or not backend.startswith(("native", "serve"))
        _who.set(request.GET["who"])

    async def later(request: HttpRequest) -> None:
        await asyncio.sleep(0)
        before(request)

    def after(request: HttpRequest, status: int, fields: list[tuple[str, str]]) -> None:
        fields.append(("X-Who", _who.get()))

    api = API(guards=[_hook(Order.CORS, after=after), Hook(before=later if waits else before)])

    @api.get("/async")
    async def a() -> str:
        return _who.get()

    @api.get("/loop")
    @in_loop
    def c() -> str:
        return _who.get()

    @api.get("/thread")
    def t() -> str:
        return _who.get()

    client = connect(api)
    for place in ("async", "loop", "thread"):
        for who in ("ada", "bob"):
            response = client.get(f"/{place}?who={who}")
            assert (response.json(), response.headers["x-who"]) == (who, who)


def test_a_stream_passes(connect: MakeClient) -> None:
    api = API(guards=[_hook(Order.CORS, **_marks("out"))])

    @api.get("/pieces")
    def pieces() -> Stream:
        return Stream(iter([b"a", b"b"]), content_type="text/plain")

    response = connect(api).get("/pieces")
    assert (response.content, response.headers["x-after"]) == (b"ab", "out 200")


def test_a_django_response_passes(connect: MakeClient) -> None:
    api = API(guards=[_hook(Order.CORS, **_marks("out"))])

    @api.get("/page")
    async def page() -> HttpResponse:
        response = HttpResponse("page", headers={"X-Own": "1"})
        response.set_cookie("a", "1")
        return response

    response = connect(api).get("/page")
    assert (response.content, response.headers["x-after"]) == (b"page", "out 200")
    assert response.headers["x-own"] == "1"
    assert response.headers["set-cookie"] == "a=1; Path=/"


class _Kinded(Hook):
    kind = "k"


def _says(text: str) -> _Kinded:
    return _Kinded(before=lambda request: JSON(text))


def test_levels(connect: MakeClient) -> None:
    """A guard of the same kind takes the place of one further out."""
    api, router = API(guards=[_says("api")]), Router(guards=[_says("router")])

    @api.get("/api")
    async def a() -> str:
        return "none"

    @router.get("/router")
    async def b() -> str:
        return "none"

    @router.get("/route", guards=[_says("route")])
    async def c() -> str:
        return "none"

    api.include(router, "/in", guards=[_says("included")])
    client = connect(api)
    found = [client.get(path).json() for path in ("/api", "/in/router", "/in/route")]
    assert found == ["api", "router", "route"]


@pytest.mark.parametrize("guard", [1, "x", Hook.compile])
def test_what_is_no_guard(guard: Any) -> None:
    with pytest.raises(RegistrationError, match="is no guard"):
        API(guards=[guard])


def test_too_many() -> None:
    api = API(guards=[Hook(before=lambda request: None)] * 33)

    @api.get("/")
    async def root() -> None: ...

    with pytest.raises(RegistrationError, match="32 guards at most"):
        api.urls  # noqa: B018


def test_a_guard_of_two_plans() -> None:
    class Shared(Guard):
        made: Any = None

        def compile(self, route: Any) -> Any:
            if self.made is None:
                Shared.made = Hook(before=lambda request: None).compile(route)
            return self.made

    api = _api(Shared())
    with pytest.raises(ValueError, match="before another handler already"):
        api.urls  # noqa: B018
