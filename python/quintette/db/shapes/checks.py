"""When a shape is compared with its model: at its declaration where that can be, else by Django's
system check, and at the latest when it is used."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig, apps
from django.core import checks

from quintette.db.shapes import binding
from quintette.db.shapes.declaration import registry
from quintette.db.shapes.errors import ShapeError, UnresolvedError


def check_at_declaration(shape: Any) -> None:
    """Nothing happens before the models are there, or while annotations name what follows."""
    if not apps.models_ready:
        return
    with contextlib.suppress(UnresolvedError):
        binding.bound(shape)


def check_shapes(
    app_configs: Sequence[AppConfig] | None, **kwargs: object
) -> list[checks.CheckMessage]:
    found: list[checks.CheckMessage] = []
    for shape in sorted(registry, key=lambda one: (one.__module__, one.__qualname__)):
        try:
            binding.bound(shape)
        except ShapeError as error:
            found.append(checks.Error(str(error), obj=shape, id="quintette.E002"))
    return found
