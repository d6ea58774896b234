"""Which paths lead to Django views that do not run where ``SYNC_VIEWS`` says.

Those are asynchronous ones and those marked ``@waits_here`` or ``@in_thread``. The server must know
before it calls Python whether a request belongs on the event loop or in a thread. So the URLconf
is walked once, at start-up, and what can be told from a ``path()`` goes to the router in C. An
asynchronous view behind a regular expression or a custom converter is called where synchronous
views are, through ``async_to_sync``, as Django does under WSGI: slower, never wrong. Likewise where
a synchronous view that comes before it takes some of its paths.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.urls import Resolver404, URLPattern, URLResolver, get_resolver
from django.urls.resolvers import RoutePattern

from quintette import _quintette
from quintette.concurrency.views import place_of

_PARAMETER = re.compile(r"<(?:(?P<converter>[^>:]+):)?[^>]+>")
# Converters that the router in C knows by Django's names, each with something that it accepts.
_SAMPLES = {
    "str": "x",
    "int": "1",
    "slug": "x",
    "uuid": "00000000-0000-0000-0000-000000000000",
    "path": "x/x",
}


@dataclass(frozen=True)
class View:
    path: str
    """As in the URLconf, from the root on."""
    name: str
    callback: Callable[..., Any]
    problem: str = ""
    """Why the path means nothing to the router; empty when it does."""

    @property
    def is_async(self) -> bool:
        return bool(iscoroutinefunction(self.callback))

    @property
    def endpoint(self) -> Any:
        """Of a typed API, else None."""
        return getattr(self.callback, "quintette_endpoint", None)

    @property
    def place(self) -> int:
        """For Router.add_view()."""
        return 0 if self.is_async else place_of(self.callback)


def find_placed_views(urlconf: str | None = None) -> list[View]:
    """A problem says why a view's requests go where those of other synchronous views go."""
    found = []
    ordinary: list[View] = []
    endpoints: set[tuple[str, int]] = set()
    resolver = get_resolver(urlconf)
    for view in _walk(resolver.url_patterns, "/", ""):
        if view.endpoint is not None:
            # A typed path has a pattern for each name of its handlers: the first answers for all.
            if (view.path, id(view.endpoint)) in endpoints:
                continue
            endpoints.add((view.path, id(view.endpoint)))
        if view.is_async or view.place:
            found.append(_without_overlap(view, ordinary, resolver))
        elif not view.problem:
            ordinary.append(view)
    return found


def _walk(
    patterns: Sequence[URLPattern | URLResolver], prefix: str, problem: str
) -> Iterator[View]:
    for item in patterns:
        path = prefix + str(item.pattern)
        trouble = problem or _problem_of(item)
        if isinstance(item, URLResolver):
            yield from _walk(item.url_patterns, path, trouble)
        else:
            yield View(path, item.lookup_str, item.callback, trouble)


def _problem_of(item: URLPattern | URLResolver) -> str:
    pattern = item.pattern
    if not isinstance(pattern, RoutePattern):
        return f"{type(pattern).__name__} is matched in Python"
    for match in _PARAMETER.finditer(str(pattern)):
        if (match["converter"] or "str") not in _SAMPLES:
            return f"the converter {match['converter']!r} is matched in Python"
    return ""


def _without_overlap(view: View, earlier: list[View], resolver: URLResolver) -> View:
    """A catch-all at the end must not take synchronous views out of their pool of threads."""
    if view.problem:
        return view
    router = _quintette.Router()
    try:
        router.add_view(view.path)
    except ValueError as error:
        return replace(view, problem=str(error))
    with suppress(Resolver404):
        if resolver.resolve(_sample_of(view.path)).func is not view.callback:
            return replace(view, problem="another view comes first")
    for other in earlier:
        if router.match("GET", _sample_of(other.path).encode()):
            return replace(view, problem=f"{other.path} comes first and takes some of its paths")
    return view


def _sample_of(path: str) -> str:
    return _PARAMETER.sub(lambda match: _SAMPLES[match["converter"] or "str"], path)
