"""The clients themselves."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any, Self, TypedDict, Unpack

from django.core.signals import got_request_exception

from quintette.api.routing import API
from quintette.testing.backends import Name, make_backend
from quintette.testing.messages import (
    Files,
    Params,
    Request,
    Response,
    build_request,
    deleted_cookies,
)


class Options(TypedDict, total=False):
    params: Params
    json: Any
    data: Any
    files: Files
    content: bytes | None
    headers: Mapping[str, str] | Iterable[tuple[str, str]] | None
    cookies: Mapping[str, str] | None


class _Errors:
    """Exceptions that were answered with 500 while a request ran."""

    def __init__(self) -> None:
        self._caught: BaseException | None = None

    def __enter__(self) -> Self:
        got_request_exception.connect(self._catch, weak=False)
        return self

    def __exit__(self, *exc_info: object) -> None:
        got_request_exception.disconnect(self._catch)

    def _catch(self, **kwargs: Any) -> None:
        self._caught = sys.exc_info()[1]

    def reraise(self) -> None:
        if self._caught is not None:
            raise self._caught


class _Client:
    def __init__(
        self,
        api: API | None = None,
        *,
        backend: Name = "native",
        raise_errors: bool = True,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._backend = make_backend(backend, api)
        self._raise_errors = raise_errors
        self.headers = dict(headers or {})
        self.cookies: dict[str, str] = {}

    def _build(self, method: str, path: str, options: Options) -> Request:
        given = options.get("headers")
        own = list(given.items() if isinstance(given, Mapping) else given or ())
        names = {name.lower() for name, _ in own}
        common = [
            (name, value) for name, value in self.headers.items() if name.lower() not in names
        ]
        cookies = {**self.cookies, **(options.get("cookies") or {})}
        options = {**options, "headers": [*common, *own], "cookies": cookies}
        return build_request(method, path, **options)

    def _take(self, response: Response, errors: _Errors) -> Response:
        if self._raise_errors:
            errors.reraise()
        self.cookies.update(response.cookies)
        for name in deleted_cookies(response):
            self.cookies.pop(name, None)
        return response


class TestClient(_Client):
    """Requests to an API mounted at the root, or without one to the project's URLconf.

    ``backend="native"`` goes through the server in C, ``"django"`` through Django's WSGI handler.
    An exception that would be answered with 500 is raised, unless ``raise_errors`` is False.
    Cookies are kept from one request to the next.
    """

    __test__ = False  # for pytest, which would collect it

    def request(self, method: str, path: str, **options: Unpack[Options]) -> Response:
        request = self._build(method, path, options)
        with _Errors() as errors:
            response = self._backend.send(request)
        return self._take(response, errors)

    def get(self, path: str, **options: Unpack[Options]) -> Response:
        return self.request("GET", path, **options)

    def head(self, path: str, **options: Unpack[Options]) -> Response:
        return self.request("HEAD", path, **options)

    def post(self, path: str, **options: Unpack[Options]) -> Response:
        return self.request("POST", path, **options)

    def put(self, path: str, **options: Unpack[Options]) -> Response:
        return self.request("PUT", path, **options)

    def patch(self, path: str, **options: Unpack[Options]) -> Response:
        return self.request("PATCH", path, **options)

    def delete(self, path: str, **options: Unpack[Options]) -> Response:
        return self.request("DELETE", path, **options)

    def options(self, path: str, **options: Unpack[Options]) -> Response:
        return self.request("OPTIONS", path, **options)


class AsyncTestClient(_Client):
    """The same for tests that are coroutines; ``backend="django"`` is Django's ASGI handler."""

    __test__ = False

    async def request(self, method: str, path: str, **options: Unpack[Options]) -> Response:
        request = self._build(method, path, options)
        with _Errors() as errors:
            response = await self._backend.asend(request)
        return self._take(response, errors)

    async def get(self, path: str, **options: Unpack[Options]) -> Response:
        return await self.request("GET", path, **options)

    async def head(self, path: str, **options: Unpack[Options]) -> Response:
        return await self.request("HEAD", path, **options)

    async def post(self, path: str, **options: Unpack[Options]) -> Response:
        return await self.request("POST", path, **options)

    async def put(self, path: str, **options: Unpack[Options]) -> Response:
        return await self.request("PUT", path, **options)

    async def patch(self, path: str, **options: Unpack[Options]) -> Response:
        return await self.request("PATCH", path, **options)

    async def delete(self, path: str, **options: Unpack[Options]) -> Response:
        return await self.request("DELETE", path, **options)

    async def options(self, path: str, **options: Unpack[Options]) -> Response:
        return await self.request("OPTIONS", path, **options)
