"""One answer from handlers of every kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from quintette import API, in_loop

PLACES = ["async", "thread", "loop"]


def everywhere(api: API, make: Callable[[], Any]) -> API:
    """The API, with a route for each of PLACES that answers with ``make()``."""

    @api.get("/async")
    async def a() -> Any:
        return make()

    @api.get("/thread")
    def t() -> Any:
        return make()

    @api.get("/loop")
    @in_loop
    def c() -> Any:
        return make()

    return api
