"""Routes that no request reaches: an earlier URL pattern takes all of their paths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core import checks
from django.urls import Resolver404, URLResolver, get_resolver

from quintette.overview.handlers import handler_of
from quintette.overview.leaves import Leaf, leaves


def check_routes(
    app_configs: Sequence[AppConfig] | None, **kwargs: object
) -> list[checks.CheckMessage]:
    if not getattr(settings, "ROOT_URLCONF", None):
        return []
    resolver = get_resolver()
    found: list[checks.CheckMessage] = []
    earlier: list[Leaf] = []
    prefixes: set[str] = set()
    for leaf in leaves(resolver):
        # Resolving is slow; most patterns have a beginning of their own.
        if _may_be_taken(leaf, prefixes):
            other = _taken_by(resolver, earlier, leaf)
            if other is not None:
                found.append(_message(leaf, other))
        earlier.append(leaf)
        prefixes.add(leaf.prefix)
    return found


def _may_be_taken(leaf: Leaf, prefixes: set[str]) -> bool:
    """An earlier pattern begins as one of its paths does."""
    return any(
        path[:length] in prefixes for path in leaf.samples() for length in range(len(path) + 1)
    )


def _taken_by(resolver: URLResolver, earlier: list[Leaf], leaf: Leaf) -> Leaf | None:
    """The one pattern that comes before it for each of its sample paths."""
    taker: Leaf | None = None
    samples = leaf.samples()
    for path in samples:
        try:
            match = resolver.resolve(path)
        except Resolver404:  # a converter of theirs refuses the sample
            return None
        if _same_view(match.func, leaf.callback):
            return None
        other = next((one for one in earlier if one.callback is match.func), None)
        if other is None or taker not in (None, other):
            return None
        taker = other
    return taker


def _same_view(one: Any, other: Any) -> bool:
    """Under another name for ``reverse()``, say."""
    if one is other:
        return True
    endpoint = getattr(one, "quintette_endpoint", None)
    if endpoint is not None:
        return endpoint is getattr(other, "quintette_endpoint", None)
    cls = getattr(one, "view_class", None)
    return (
        cls is not None
        and cls is getattr(other, "view_class", None)
        and getattr(one, "view_initkwargs", None) == getattr(other, "view_initkwargs", None)
    )


def _message(leaf: Leaf, other: Leaf) -> checks.CheckMessage:
    mine, theirs = _view_of(leaf), _view_of(other)
    if leaf.path == other.path:
        text = f"{leaf.path} stands twice in the URLconf: {theirs} answers it, {mine} never does."
        return checks.Warning(
            text, hint="Remove one of the two, or give it another path.", id="quintette.W010"
        )
    text = f"{leaf.path} ({mine}) is never reached: {other.path} ({theirs}) comes first."
    return checks.Warning(
        text, hint="Move the narrower pattern before the wider one.", id="quintette.W011"
    )


def _view_of(leaf: Leaf) -> str:
    endpoint = leaf.endpoint
    callback = leaf.callback
    if endpoint is not None:
        callback = next(iter(endpoint.routes.values())).builder.function
    handler = handler_of(callback)
    return f"{handler.name}, {handler.place}" if handler.place else handler.name
