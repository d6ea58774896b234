"""Which statements took too long for the loop lately, by their text."""

from __future__ import annotations

import time
from collections.abc import Callable

TEXTS_MAX = 1000
# After its first time, a text is given another chance on the loop; then after ever longer times.
FORGET_SECONDS = 30.0
FORGET_SECONDS_MAX = 3600.0


class SlowTexts:
    """Any thread: each step is one of a dict's own, and a lost one costs a budget at most."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # Until when, and for how long. In the order of their last addition.
        self._until: dict[str, tuple[float, float]] = {}

    def __contains__(self, sql: str) -> bool:
        until = self._until.get(sql)
        return until is not None and self._clock() < until[0]

    def add(self, sql: str) -> None:
        """It was too slow."""
        known = self._until.pop(sql, None)
        seconds = FORGET_SECONDS if known is None else min(2 * known[1], FORGET_SECONDS_MAX)
        self._until[sql] = (self._clock() + seconds, seconds)
        while len(self._until) > TEXTS_MAX:
            self._until.pop(next(iter(self._until)), None)

    def discard(self, sql: str) -> None:
        """It was quick, after all."""
        if self._until:
            self._until.pop(sql, None)

    def __len__(self) -> int:
        return len(self._until)
