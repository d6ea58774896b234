"""Where throttles count."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from quintette import _quintette
from quintette.api.errors import RegistrationError
from quintette.traffic.rates import Rate

KEYS_MAX = 1 << 24


@dataclass(frozen=True)
class Counter:
    """What a store gives a throttle: a table in memory, or whom to ask."""

    secret: bytes
    table: _quintette.LimitTable | None = None
    ask: Callable[[bytes], Any] | None = None


class Store(Protocol):
    def counter(self, name: str | None, rate: Rate, burst: int) -> Counter: ...


@dataclass(frozen=True)
class Local:
    """In memory: of each process by itself, or with ``shared`` of all workers of a server.

    Keys beyond ``keys`` push out those that have used least."""

    shared: bool = False
    keys: int = 65_536

    def __post_init__(self) -> None:
        if not 1 <= self.keys <= KEYS_MAX:
            raise RegistrationError(f"Local(keys={self.keys}): from 1 to {KEYS_MAX}")

    def counter(self, name: str | None, rate: Rate, burst: int) -> Counter:
        table = _quintette.LimitTable(self.keys, self.shared)
        return Counter(secret=os.urandom(16), table=table)
