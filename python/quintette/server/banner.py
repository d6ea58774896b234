"""What is said on a terminal when the server starts."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TextIO

import django
from django.conf import settings as django_settings

from quintette.server.address import Address
from quintette.server.logs import wants_colour

# Routes that are named one by one; the rest is counted.
NAMED_MAX = 8


@dataclass
class Report:
    """What the routers in C were given."""

    routes: int = 0
    """Typed routes that C runs without Django's handler."""
    plans: dict[str, list[Any]] = field(default_factory=dict)
    """Those of the typed routes, by path."""
    kept: list[str] = field(default_factory=list)
    """Typed routes that Django runs, each with the reason."""
    async_views: int = 0
    placed_views: int = 0
    """Synchronous views that run where they are marked to."""
    misplaced: list[str] = field(default_factory=list)
    """Views of both kinds that run where ordinary ones do, each with the reason."""


class Banner:
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._colour = wants_colour(stream)

    def show(self, address: Address, *, workers: int, threads: int, reload: bool) -> None:
        settings_module = os.environ.get("DJANGO_SETTINGS_MODULE", "configured in code")
        self._line(
            self._paint("1", f"Quintette {own_version()}"),
            f", Django {django.get_version()}, Python {platform.python_version()}",
        )
        self._line("  settings  ", settings_module, " (DEBUG)" if django_settings.DEBUG else "")
        self._line("  address   ", self._paint("1;36", address.url))
        self._line("  workers   ", f"{workers} with {threads} threads{' each' * (workers > 1)}")
        self._line("  quit      ", "Ctrl-C", "; restarts when code changes" if reload else "")
        for warning in warnings(address):
            self._line(self._paint("33", f"  warning   {warning}"))

    def routes(self, report: Report) -> None:
        if report.routes or report.kept:
            self._line("  api       ", f"{_count(report.routes, 'route')} run in C")
        self._list("runs in Django", report.kept)
        if report.async_views:
            self._line("  async     ", f"{_count(report.async_views, 'view')} on the event loop")
        if report.placed_views:
            self._line(
                "  sync      ", f"{_count(report.placed_views, 'view')} where they are marked to"
            )
        self._list("runs as other synchronous views", report.misplaced)

    def _list(self, what: str, names: Sequence[str]) -> None:
        for name in names[:NAMED_MAX]:
            self._line("            ", self._paint("2", f"{what}: {name}"))
        if len(names) > NAMED_MAX:
            self._line("            ", self._paint("2", f"and {len(names) - NAMED_MAX} more"))

    def _line(self, *parts: str) -> None:
        self._stream.write("".join(parts) + "\n")
        self._stream.flush()

    def _paint(self, codes: str, text: str) -> str:
        return f"\x1b[{codes}m{text}\x1b[0m" if self._colour else text


def own_version() -> str:
    try:
        return version("quintette")
    except PackageNotFoundError:
        return "(development)"


def one_line(address: Address) -> str:
    return f"Quintette {own_version()} serves {address.url}"


def warnings(address: Address) -> list[str]:
    found = []
    if address.is_public and django_settings.DEBUG:
        found.append(
            "DEBUG is on and others can connect: error pages will show them your code and settings."
        )
    if address.is_public and django_settings.DEBUG and not django_settings.ALLOWED_HOSTS:
        found.append("ALLOWED_HOSTS is empty: only requests for localhost will be answered.")
    return found


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'s' * (n != 1)}"
