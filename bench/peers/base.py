"""What a peer is: a name, the cases it can run, and the configurations worth trying."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bench.case import Case
from bench.errors import UnavailableError
from bench.server import Launch

BIN = Path(sys.prefix) / "bin"
"""The scripts of the bench's own environment."""


@dataclass(frozen=True)
class Variant:
    """One configuration. Of several, the one with least CPU per request is measured."""

    label: str
    launch: Callable[[Case, int], Launch]
    """Of the case and the port; UnavailableError when something is missing."""


@dataclass(frozen=True)
class Peer:
    name: str
    title: str
    cases: frozenset[str]
    variants: tuple[Variant, ...]
    packages: tuple[str, ...] = ()
    """Whose versions are written down."""
    versions_of: Callable[[], dict[str, str]] | None = None
    """Versions of what no package manager of Python's knows."""
    limit: bool = False
    """No peer but a bound: it runs no Python, or no framework."""

    def versions(self) -> dict[str, str]:
        try:
            found = {name: version(name) for name in self.packages}
        except PackageNotFoundError as error:
            raise UnavailableError(f"{self.name}: {error.name} is not installed") from error
        return found | (self.versions_of() if self.versions_of else {})


def only(launch: Callable[[Case, int], Launch]) -> tuple[Variant, ...]:
    return (Variant("", launch),)
