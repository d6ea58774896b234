"""Which paths lead to asynchronous Django views.

The server must know before it calls Python whether a request belongs on the event loop or in a
thread. So the URLconf is walked once, at start-up, and what can be told from a ``path()`` goes to
the router in C. An asynchronous view behind a regular expression or a custom converter is called
in a thread, through ``async_to_sync``, as Django does under WSGI: slower, never wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from asgiref.sync import iscoroutinefunction
from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import RoutePattern

# Converters that the router in C knows by Django's names.
_CONVERTERS = {"str", "int", "slug", "uuid", "path"}
_PARAMETER = re.compile(r"<(?:(?P<converter>[^>:]+):)?[^>]+>")


@dataclass(frozen=True)
class AsyncView:
    path: str
    """As in the URLconf, from the root on."""
    name: str
    problem: str = ""
    """Why its requests go through a thread all the same; empty when they do not."""


def find_async_views(urlconf: str | None = None) -> list[AsyncView]:
    return list(_walk(get_resolver(urlconf).url_patterns, "/", ""))


def _walk(
    patterns: list[URLPattern | URLResolver], prefix: str, problem: str
) -> Iterator[AsyncView]:
    for item in patterns:
        path = prefix + str(item.pattern)
        trouble = problem or _problem_of(item)
        if isinstance(item, URLResolver):
            yield from _walk(item.url_patterns, path, trouble)
        elif iscoroutinefunction(item.callback):
            yield AsyncView(path, item.lookup_str, trouble)


def _problem_of(item: URLPattern | URLResolver) -> str:
    pattern = item.pattern
    if not isinstance(pattern, RoutePattern):
        return f"{type(pattern).__name__} is matched in Python"
    for match in _PARAMETER.finditer(str(pattern)):
        if (match["converter"] or "str") not in _CONVERTERS:
            return f"the converter {match['converter']!r} is matched in Python"
    return ""
