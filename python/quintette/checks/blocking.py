"""Asynchronous code of a project that blocks the event loop.

Found by reading it: handlers, dependencies, views and middleware that are asynchronous, and the
functions of the project that they call. Only what is called by a name that leads to something known
is told; a line, or a function's ``def``, with ``# quintette: allow-blocking`` is left alone.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from types import FunctionType
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.apps import AppConfig
from django.conf import settings
from django.core import checks
from django.utils.module_loading import import_string

from quintette.api.signature import is_in_loop
from quintette.checks.calls import Blocking, Finder
from quintette.overview.handlers import code_of, short
from quintette.overview.leaves import leaves


def check_blocking(
    app_configs: Sequence[AppConfig] | None, **kwargs: object
) -> list[checks.CheckMessage]:
    if not getattr(settings, "ROOT_URLCONF", None):
        return []
    finder = Finder()
    for function, owner in roots():
        finder.examine(function, owner)
    for factory in _middleware():
        if not inspect.isclass(factory):
            finder.examine_made(factory)
    found = sorted(finder.found, key=lambda one: (one.file, one.line, one.what))
    return [_message(one) for one in found]


def roots() -> Iterator[tuple[Any, type | None]]:
    """Functions that run on the event loop, with the class whose methods they are."""
    for leaf in leaves():
        if leaf.endpoint is not None:
            for served in leaf.endpoint.routes.values():
                yield from _handler(served.builder)
        elif iscoroutinefunction(leaf.callback):
            target = code_of(leaf.callback)
            yield from _methods(target) if inspect.isclass(target) else [(target, None)]
    for factory in _middleware():
        if inspect.isclass(factory) and getattr(factory, "async_capable", False):
            yield from _methods(factory)


def _handler(builder: Any) -> Iterator[tuple[Any, None]]:
    flat = builder.flat
    candidates = [builder.function]
    if flat.function is not builder.function:
        # The generated function that calls the dependencies.
        candidates += flat.function.__globals__.values()
    for candidate in candidates:
        if not callable(candidate):
            continue
        function = inspect.unwrap(candidate)
        if isinstance(function, FunctionType) and (_is_async(function) or is_in_loop(candidate)):
            yield function, None


def _methods(cls: type) -> Iterator[tuple[Any, type]]:
    for name in dir(cls):
        function = inspect.getattr_static(cls, name)
        if isinstance(function, FunctionType) and _is_async(function):
            yield function, cls


def _is_async(function: Any) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def _middleware() -> list[Any]:
    """What cannot be imported is told when the server builds the chain."""
    found = []
    for name in settings.MIDDLEWARE:
        try:
            found.append(import_string(name))
        except ImportError:
            continue
    return found


def _message(one: Blocking) -> checks.CheckMessage:
    *callers, function = one.path
    text = f"{short(one.file)}:{one.line}: {one.what} blocks the event loop in {function}"
    if callers:
        text += f", which runs there for {' and '.join(callers[:1])}"
    return checks.Warning(f"{text}.", hint=one.hint, id="quintette.W020")
