"""Django's middleware as its tests call it, each by itself: ``CsrfViewMiddleware(view)(request)``.

In the place of each class that Quintette has in C stands one of the same name, whose
``process_request``, ``process_view`` and ``process_response`` are the steps in C. Subclasses in the
tests stay what they are. Handlers get Django's classes, since these are what they look for.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any
from unittest import mock

from django.utils.module_loading import import_string

from over_quintette.request import HttpRequest
from quintette import _quintette
from quintette.server import middleware

# Whose tests call middleware with an HttpRequest() that they fill in themselves.
_MAKE_UP_REQUESTS = {"auth_tests", "csrf_tests", "messages_tests", "middleware", "sessions_tests"}
_METHODS = ("process_request", "process_view", "process_response")
_replaced: list[tuple[Any, str, type, type]] = []
"""Module, name, Django's class and ours."""


class _Steps:
    """The steps of one instance of Django's middleware."""

    def __init__(self, cls: type, instance: Any) -> None:
        # Django's class itself is what the steps know. All that the instance has is shared.
        own = cls.__new__(cls)
        own.__dict__ = instance.__dict__
        kind = middleware.NATIVE[middleware._name_of(cls)]
        step = (kind, own, *middleware._fields(own))
        self._segment = _quintette.Segment((step,), instance.get_response, None, False)
        self._view = _quintette.CsrfView(own)

    def process_request(self, request: Any) -> Any:
        _at, made, todo = self._segment.enter(request, 0)
        if isinstance(made, Exception):
            raise made
        return made if todo is None else todo(request)

    def process_view(self, request: Any, *args: Any) -> Any:
        return self._view(request, *args)

    def process_response(self, request: Any, response: Any) -> Any:
        _at, made, todo = self._segment.leave(request, response, 1)
        if isinstance(made, Exception):
            raise made
        return made if todo is None else todo(request, made)


def _in_steps(cls: type, name: str, ours: list[type]) -> Any:
    inherited = getattr(cls, name)

    def method(self: Any, *args: Any) -> Any:
        if type(self) is not ours[0]:
            return inherited(self, *args)
        return getattr(_Steps(cls, self), name)(*args)

    return method


def _in_c(cls: type) -> type:
    ours: list[type] = []
    names = [name for name in _METHODS if hasattr(cls, name)]
    if middleware._name_of(cls) != "django.middleware.csrf.CsrfViewMiddleware":
        names = [name for name in names if name != "process_view"]
    methods = {name: _in_steps(cls, name, ours) for name in names}
    ours.append(type(cls.__name__, (cls,), {"__module__": cls.__module__, **methods}))
    return ours[0]


@contextmanager
def djangos_own() -> Iterator[None]:
    """Django's classes under their names: for a handler that loads its middleware."""
    for module, name, cls, _ours in _replaced:
        setattr(module, name, cls)
    try:
        yield
    finally:
        for module, name, _cls, ours in _replaced:
            setattr(module, name, ours)


def _replace() -> None:
    for path in middleware.NATIVE:
        module_path, _, name = path.rpartition(".")
        try:
            cls = import_string(path)
        except ImportError:
            # Of another version of Django.
            continue
        _replaced.append((import_module(module_path), name, cls, _in_c(cls)))
    for module, name, _cls, ours in _replaced:
        setattr(module, name, ours)


def install() -> None:
    """Once Django is set up, and before its tests are imported."""
    from django.test.runner import DiscoverRunner

    build = DiscoverRunner.build_suite

    def build_suite(self: Any, test_labels: Any, **kwargs: Any) -> Any:
        if not _replaced:
            _replace()
        if not any(label.partition(".")[0] in _MAKE_UP_REQUESTS for label in test_labels):
            return build(self, test_labels, **kwargs)
        with mock.patch("django.http.HttpRequest", HttpRequest):
            return build(self, test_labels, **kwargs)

    DiscoverRunner.build_suite = build_suite  # type: ignore[method-assign]
