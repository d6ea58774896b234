"""Dependencies."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

import pytest
from live import MakeClient

from quintette import API, Depends, Header, HTTPError, Query, RegistrationError, Router, in_loop

LOG: list[Any] = []


@pytest.fixture(autouse=True)
def clear() -> None:
    LOG.clear()


def number(n: int = 1) -> int:
    LOG.append("number")
    return n


async def doubled(n: Annotated[int, Depends(number)]) -> int:
    return 2 * n


def token(authorization: Annotated[str, Header()]) -> str:
    if authorization != "ok":
        raise HTTPError(401)
    return authorization


def resource(n: Annotated[int, Depends(number)]) -> Iterator[str]:
    LOG.append("open")
    try:
        yield f"r{n}"
    except BaseException as error:
        LOG.append(type(error).__name__)
        raise
    finally:
        LOG.append("close")


async def async_resource() -> AsyncIterator[str]:
    LOG.append("aopen")
    try:
        yield "ar"
    finally:
        LOG.append("aclose")


class Pager:
    def __init__(self, limit: int = 10, offset: int = 0) -> None:
        self.limit, self.offset = limit, offset


Number = Annotated[int, Depends(number)]


def _api() -> API:
    api = API()

    @api.get("/sync")
    def sync(a: str, n: Number, *, t: Annotated[str, Depends(token)]) -> list[Any]:
        return [a, n, t]

    @api.get("/async")
    async def async_(n: Number, m: Annotated[int, Depends(doubled)]) -> list[Any]:
        return [n, m]

    @api.get("/mixed")
    def mixed(m: Annotated[int, Depends(doubled)]) -> list[Any]:
        return [m, threading.current_thread() is threading.main_thread()]

    @api.get("/default")
    def default(n: int = Depends(number)) -> int:
        return n

    @api.get("/class")
    async def of_class(pager: Annotated[Pager, Depends()]) -> list[int]:
        return [pager.limit, pager.offset]

    @api.get("/cached")
    def cached(
        n: Number, m: Number, k: Annotated[int, Depends(number, use_cache=False)]
    ) -> list[int]:
        return [n, m, k]

    @api.get("/resource")
    def with_resource(r: Annotated[str, Depends(resource)], fail: bool = False) -> str:
        LOG.append("handler")
        if fail:
            raise HTTPError(409)
        return r

    @api.get("/aresource")
    async def with_both(
        r: Annotated[str, Depends(resource)],
        a: Annotated[str, Depends(async_resource)],
        fail: bool = False,
    ) -> str:
        LOG.append("handler")
        if fail:
            raise HTTPError(409)
        return r + a

    return api


CASES: list[tuple[str, int, Any, list[str]]] = [
    ("/sync?a=x&n=3", 200, ["x", 3, "ok"], ["number"]),
    ("/async?n=3", 200, [3, 6], ["number"]),
    ("/default?n=4", 200, 4, ["number"]),
    ("/class?limit=5", 200, [5, 0], []),
    ("/cached?n=2", 200, [2, 2, 2], ["number", "number"]),
    ("/resource?n=7", 200, "r7", ["number", "open", "handler", "close"]),
    ("/resource?fail=1", 409, None, ["number", "open", "handler", "HTTPError", "close"]),
    ("/aresource", 200, "r1ar", ["number", "open", "aopen", "handler", "aclose", "close"]),
    (
        "/aresource?fail=1",
        409,
        None,
        ["number", "open", "aopen", "handler", "aclose", "HTTPError", "close"],
    ),
]


@pytest.mark.parametrize(("url", "status", "expected", "log"), CASES)
def test_dependencies(
    connect: MakeClient, url: str, status: int, expected: Any, log: list[str]
) -> None:
    response = connect(_api()).get(url, headers={"Authorization": "ok"})
    assert response.status_code == status, response.content
    if expected is not None:
        assert response.json() == expected
    assert log == LOG


def test_a_dependency_that_refuses(connect: MakeClient) -> None:
    client = connect(_api())
    assert client.get("/sync?a=x", headers={"Authorization": "no"}).status_code == 401
    LOG.clear()
    response = client.get("/sync?n=x")
    assert [(e["in"], e["loc"]) for e in response.json()["errors"]] == [
        ("query", ["n"]),
        ("query", ["a"]),
        ("header", ["authorization"]),
    ]
    assert LOG == []


def test_a_synchronous_handler_of_an_asynchronous_dependency(connect: MakeClient) -> None:
    assert connect(_api()).get("/mixed?n=2").json()[0] == 4


def test_dependencies_of_routes_and_routers(connect: MakeClient) -> None:
    def first() -> None:
        LOG.append("first")

    def second() -> None:
        LOG.append("second")

    api = API(depends=[Depends(first)])
    router = Router("/r", depends=[Depends(second)])

    @router.get("/x", depends=[Depends(token)])
    def handler() -> str:
        return "x"

    api.include(router)
    client = connect(api)
    assert client.get("/r/x").status_code == 422
    assert client.get("/r/x", headers={"Authorization": "no"}).status_code == 401
    assert LOG == ["first", "second"]
    assert client.get("/r/x", headers={"Authorization": "ok"}).json() == "x"


def test_in_loop(connect: MakeClient) -> None:
    api = API()

    @in_loop
    def dependency(n: int) -> int:
        return n + 1

    @api.get("/")
    @in_loop
    def handler(n: Annotated[int, Depends(dependency)]) -> int:
        return n

    assert connect(api).get("/?n=1").json() == 2
    assert api.routes[0].builder.kind == 1


def _loop(a: Annotated[int, Depends(lambda: 1)]) -> None: ...


def test_mistakes() -> None:
    def itself(n: Any) -> None: ...

    itself.__annotations__ = {"n": Annotated[int, Depends(itself)]}
    with pytest.raises(RegistrationError, match="depends on itself"):
        API().get("/")(itself)

    def twice(a: Any = 1) -> None: ...

    twice.__annotations__ = {"a": Annotated[int, Query(), Header()]}
    with pytest.raises(RegistrationError, match=r"'a': is marked twice"):
        API().get("/")(twice)

    def no_class(a: Any) -> None: ...

    no_class.__annotations__ = {"a": Annotated[int | str, Depends()]}
    with pytest.raises(RegistrationError, match="needs a class"):
        API().get("/")(no_class)
