"""Permissions that are misspelt: nobody has them, and their routes answer everybody with 403."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings
from django.core import checks
from django.db.models.options import Options
from django.urls import get_resolver

from quintette.overview.handlers import handler_of
from quintette.overview.leaves import leaves

# Projects may have permissions that no model declares: only what is nearly one of those is told.
_SIMILARITY = 0.9


def check_permissions(
    app_configs: Sequence[AppConfig] | None, **kwargs: object
) -> list[checks.CheckMessage]:
    if not getattr(settings, "ROOT_URLCONF", None) or not apps.is_installed("django.contrib.auth"):
        return []
    declared = _declared()
    found: dict[str, checks.CheckMessage] = {}
    for function, name in _asked():
        if name in declared or name in found:
            continue
        for similar in get_close_matches(name, declared, n=1, cutoff=_SIMILARITY):
            found[name] = _message(function, name, similar)
    return list(found.values())


def _declared() -> frozenset[str]:
    """By the models; the database is not asked."""
    return frozenset(
        f"{model._meta.app_label}.{codename}"
        for model in apps.get_models()
        for codename in _codenames(model._meta)
    )


def _codenames(options: Options[Any]) -> Iterator[str]:
    from django.contrib.auth import get_permission_codename

    for action in options.default_permissions:
        yield get_permission_codename(action, options)
    for codename, _ in options.permissions:
        yield codename


def _asked() -> Iterator[tuple[Any, str]]:
    """Each typed handler, with each permission that stands before it."""
    for leaf in leaves(get_resolver()):
        if leaf.endpoint is None:
            continue
        for served in leaf.endpoint.routes.values():
            for guard in served.mounted.guards:
                for name in _names(guard):
                    yield served.builder.function, name


def _names(guard: Any) -> Iterator[str]:
    from quintette.auth.permissions import Both, HasPerm, Negated

    if isinstance(guard, HasPerm):
        yield from guard.permissions
    elif isinstance(guard, Both):
        yield from _names(guard.left)
        yield from _names(guard.right)
    elif isinstance(guard, Negated):
        yield from _names(guard.inner)


def _message(function: Any, name: str, similar: str) -> checks.CheckMessage:
    handler = handler_of(function)
    return checks.Warning(
        f"HasPerm({name!r}) of {handler.name}, {handler.place}: no model declares this permission.",
        hint=f"Did you mean {similar!r}?",
        id="quintette.W030",
    )
