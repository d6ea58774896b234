"""Gives each request what must stay its own: a marker and a time zone."""

from collections.abc import Callable
from contextlib import contextmanager
from contextvars import ContextVar
from inspect import iscoroutinefunction
from typing import Any
from zoneinfo import ZoneInfo

from django.http import HttpRequest
from django.utils import timezone
from django.utils.decorators import sync_and_async_middleware

marker: ContextVar[str] = ContextVar("marker")


@contextmanager
def _set(request: HttpRequest) -> Any:
    token = marker.set(request.GET.get("marker", ""))
    try:
        with timezone.override(ZoneInfo(request.GET.get("zone", "UTC"))):
            yield
    finally:
        marker.reset(token)


@sync_and_async_middleware
def marked(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    if iscoroutinefunction(get_response):

        async def on_loop(request: HttpRequest) -> Any:
            with _set(request):
                return await get_response(request)

        return on_loop

    def in_thread(request: HttpRequest) -> Any:
        with _set(request):
            return get_response(request)

    return in_thread
