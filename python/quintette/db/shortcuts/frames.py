"""Deprecations name the first line that is not Django's: not one of ours in between, either."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import quintette

_NAME = "django_file_prefixes"


def install() -> None:
    """Where Django's warnings skip files: since 6.0, and a Python that can."""
    deprecation = sys.modules["django.utils.deprecation"]
    djangos = getattr(deprecation, _NAME, None)
    if djangos is None:
        return
    prefixes = _with_ours(djangos)
    for name, module in list(sys.modules.items()):
        if name.startswith("django.") and vars(module).get(_NAME) is djangos:
            setattr(module, _NAME, prefixes)


def _with_ours(djangos: Callable[[], tuple[str, ...]]) -> Callable[[], tuple[str, ...]]:
    ours = str(Path(quintette.__file__).parent / "_")[:-1]

    @cache
    def django_file_prefixes() -> tuple[str, ...]:
        return (*djangos(), ours)

    return django_file_prefixes
