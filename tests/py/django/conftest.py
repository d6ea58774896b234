from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import override_settings
from django.urls import clear_url_caches
from live_server import LiveServer

from quintette.concurrency.views import PLACES
from quintette.server import lift, static
from quintette.server.handler import AsyncHandler, SyncHandler
from quintette.server.runner import prepare_process


@pytest.fixture(autouse=True, scope="session")
def _request_class() -> None:
    prepare_process()


@pytest.fixture(params=PLACES)
def live(request: pytest.FixtureRequest) -> Iterator[Callable[..., LiveServer]]:
    """live(urlconf, **settings): the project's handlers over that URLconf."""
    stack: list[Any] = []

    def start(urlconf: Any, **settings: Any) -> LiveServer:
        overridden = override_settings(ROOT_URLCONF=urlconf, ALLOWED_HOSTS=["*"], **settings)
        overridden.enable()
        stack.append(overridden.disable)
        clear_url_caches()
        router, _report, has_async = lift.build_router()
        url = static.development_url()
        server = LiveServer(
            static.StaticFilesSyncHandler(url) if url else SyncHandler(),
            AsyncHandler() if has_async else None,
            router=router,
            sync_views=PLACES[request.param],
        )
        stack.append(lambda: server.__exit__(None, None, None))
        return server.__enter__()

    yield start
    while stack:
        stack.pop()()
    clear_url_caches()
