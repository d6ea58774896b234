"""Rates as text: ``"100/m"``, ``"5/10s"``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from quintette.api.errors import RegistrationError

_SECONDS = {
    "s": 1,
    "sec": 1,
    "second": 1,
    "m": 60,
    "min": 60,
    "minute": 60,
    "h": 3600,
    "hour": 3600,
    "d": 86_400,
    "day": 86_400,
}
_RATE = re.compile(r"(\d{1,9})\s*/\s*(\d{0,6})\s*([a-z]+)", re.ASCII)
_COUNT_MAX = 1_000_000_000
_SECONDS_MAX = 366 * 86_400


@dataclass(frozen=True)
class Rate:
    count: int
    seconds: int


def parse(text: str) -> Rate:
    """``count/period``: s, m, h or d (also their longer names), perhaps several of them."""
    match = _RATE.fullmatch(str(text).strip().lower())
    unit = _SECONDS.get(match[3]) if match else None
    if match is None or unit is None:
        raise RegistrationError(f'{text!r} is no rate; write "100/m", "5/10s" or "1000/day"')
    count, seconds = int(match[1]), int(match[2] or 1) * unit
    if not 1 <= count <= _COUNT_MAX or not 1 <= seconds <= _SECONDS_MAX:
        raise RegistrationError(f"{text!r}: a rate is of at least 1 request in at most 366 days")
    return Rate(count, seconds)
