"""Each test of greenlets runs on our loop and on asyncio's own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from quintette._quintette import Poller

Run = Callable[[Coroutine[Any, Any, Any]], Any]


def loop_with_poller() -> asyncio.AbstractEventLoop:
    poller = Poller()
    loop = asyncio.SelectorEventLoop(poller)
    poller.bind_loop(loop)
    return loop


@pytest.fixture(params=[loop_with_poller, asyncio.new_event_loop], ids=["poller", "asyncio"])
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    loop = request.param()
    yield loop.run_until_complete
    loop.close()
