"""What a server counts: made before its workers are forked, shared by all of them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.urls import URLPattern, URLResolver, get_resolver

from quintette import _quintette
from quintette.conf import MetricsSettings, Settings
from quintette.overview.leaves import Leaf, leaves

# Labels of what is no route of the project's; the server in C has the same numbers.
OTHERS = ("(none)", "(static)", "(metrics)")
# As in include/q5/metrics.h; routes beyond it are counted together.
ROUTES_MAX = 4096


def processes(settings: Settings) -> int:
    """At a time: of each worker one that serves and one that drains, and as many again."""
    return 2 * settings.worker_count() + 2


def make_metrics(settings: Settings, plans: dict[str, list[Any]]) -> _quintette.Metrics:
    """``plans`` are those in C, by their path."""
    found = leaves()
    paths = list(dict.fromkeys([*plans, *(leaf.path for leaf in found)]))
    numbers = {path: number for number, path in enumerate(paths[: ROUTES_MAX - 3], len(OTHERS))}
    for path, group in plans.items():
        for plan in group:
            plan.route_number = numbers.get(path, 0)
    return _quintette.Metrics(
        names=(*OTHERS, *numbers),
        patterns=_patterns(found, numbers),
        by_text={leaf.route: numbers.get(leaf.path, 0) for leaf in found},
        slots=processes(settings),
    )


def _patterns(found: list[Leaf], numbers: dict[str, int]) -> dict[Any, int | None]:
    """The route of each URLPattern; None where it is included at several places."""
    patterns: dict[Any, int | None] = {}
    items = _items(get_resolver())
    for item, leaf in zip(items, found, strict=True):
        patterns[item] = None if item in patterns else numbers.get(leaf.path, 0)
    return patterns


def _items(resolver: URLResolver) -> list[Any]:
    """In the order of leaves()."""
    items: list[Any] = []
    for item in resolver.url_patterns:
        if isinstance(item, URLResolver):
            items += _items(item)
        elif isinstance(item, URLPattern):
            items.append(item)
    return items


@contextmanager
def scraping(metrics: _quintette.Metrics | None, poller: Any, fd: int) -> Iterator[None]:
    """Answers ``/metrics``, and nothing else, on a listening socket of its own (-1: on none)."""
    if metrics is None or fd < 0:
        yield
        return
    server = _quintette.Server(poller)
    server.measure(metrics, MetricsSettings().path, None, False)
    server.accept_on(fd)
    try:
        yield
    finally:
        server.abort()
        server.close()


def where(settings: MetricsSettings | None) -> tuple[str, list[str]]:
    """For Server.measure(); an empty path answers nobody."""
    if settings is None:
        return "", []
    for text in settings.allow:
        try:
            ipaddress.ip_network(text)
        except ValueError as error:
            raise ImproperlyConfigured(f"QUINTETTE['METRICS']['ALLOW']: {error}.") from error
    return settings.path, list(settings.allow)
