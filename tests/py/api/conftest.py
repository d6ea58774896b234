"""One suite for every way in which an API can be served."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import django
import pytest
from django.conf import settings

if not settings.configured:
    settings.configure(
        ALLOWED_HOSTS=["*"],
        INSTALLED_APPS=[
            "quintette",
            "django.contrib.contenttypes",
            "django.contrib.auth",
            "django.contrib.sessions",
            "django.contrib.staticfiles",
        ],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        ROOT_URLCONF="urls",
        SECRET_KEY="for tests",
        STATIC_URL="/static/",
        TEMPLATES=[
            {"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}
        ],
    )
    django.setup()

from quintette import API
from quintette.testing import AsyncTestClient, Response, TestClient


class Client:
    """The synchronous and the asynchronous client behind one face."""

    def __init__(self, api: API, backend: str, **options: Any) -> None:
        name, _, way = backend.partition("-")
        self._is_async = way == "async"
        kind = AsyncTestClient if self._is_async else TestClient
        self._client: Any = kind(api, backend=name, **options)

    def request(self, method: str, path: str, **options: Any) -> Response:
        answer = self._client.request(method, path, **options)
        return asyncio.run(_await(answer)) if self._is_async else answer

    def __getattr__(self, name: str) -> Callable[..., Response]:
        return lambda path, **options: self.request(name.upper(), path, **options)


async def _await(awaitable: Any) -> Any:
    return await awaitable


MakeClient = Callable[..., Client]
BACKENDS = ["native", "native-async", "django", "django-async"]


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def connect(backend: str) -> MakeClient:
    """Makes a client for an API; exceptions of handlers are answered with 500."""
    return lambda api, **options: Client(api, backend, raise_errors=False, **options)
