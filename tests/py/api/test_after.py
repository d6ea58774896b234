"""Work behind the response: AfterResponse."""

from __future__ import annotations

import contextvars
import threading
from typing import Any

import live
import pytest
from live import MakeClient, wait_for

from quintette import API, AfterResponse, HTTPError
from quintette.api import after as after_module

who: contextvars.ContextVar[str] = contextvars.ContextVar("who", default="nobody")


@pytest.mark.parametrize("sync", [False, True], ids=["async", "thread"])
def test_it_runs_in_order_behind_the_response(connect: MakeClient, sync: bool) -> None:
    api = API()
    seen: list[Any] = []

    async def later(name: str) -> None:
        seen.append((name, who.get()))

    def later_in_thread(name: str) -> None:
        seen.append((name, who.get(), threading.current_thread() is not threading.main_thread()))

    def fails() -> None:
        raise ValueError("logged")

    async def handler(after: AfterResponse) -> str:
        who.set("ada")
        after(later, "a")
        after(fails)
        after(later_in_thread, name="b")
        return "done"

    def handler_here(after: AfterResponse) -> str:
        who.set("ada")
        after(later, "a")
        after(fails)
        after(later_in_thread, name="b")
        return "done"

    api.get("/")(handler_here if sync else handler)
    assert connect(api).get("/").json() == "done"
    wait_for(lambda: len(seen) == 2)
    assert [row[0] for row in seen] == ["a", "b"]


def test_a_failed_request_leaves_nothing_to_do(connect: MakeClient) -> None:
    api = API()
    seen: list[int] = []

    @api.get("/{status}")
    async def handler(status: int, after: AfterResponse) -> None:
        after(seen.append, status)
        if status != 200:
            raise HTTPError(status)

    client = connect(api)
    assert client.get("/404").status_code == 404
    assert client.get("/200").status_code == 204
    wait_for(lambda: bool(seen))
    assert seen == [200]


def test_errors_are_logged(connect: MakeClient, caplog: pytest.LogCaptureFixture) -> None:
    api = API()

    def fails() -> None:
        raise ValueError("what went wrong")

    @api.get("/")
    async def handler(after: AfterResponse) -> None:
        after(fails)

    assert connect(api).get("/").status_code == 204
    wait_for(lambda: any("fails failed behind" in r.message for r in caplog.records))


def test_the_response_does_not_wait(servers: live.Servers) -> None:
    api = API()
    go_on, done = threading.Event(), threading.Event()

    def later() -> None:
        go_on.wait(60)
        done.set()

    @api.get("/")
    async def handler(after: AfterResponse) -> None:
        after(later)

    client = live.Client(api, servers["serve"])
    assert client.get("/").status_code == 204
    assert not done.is_set()
    go_on.set()
    assert done.wait(60)
    client.close()


def test_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    after = AfterResponse()
    for _ in range(after_module.CALLS_MAX):
        after(print)
    with pytest.raises(RuntimeError, match="more than 64 calls"):
        after(print)
    monkeypatch.setattr(after_module, "RUNNING_MAX", 0)
    with pytest.raises(RuntimeError, match="still to be done"):
        AfterResponse()(print)
