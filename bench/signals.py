"""Ended from outside, the bench still ends its servers."""

from __future__ import annotations

import signal
from types import FrameType


def exit_on_termination() -> None:
    """SIGTERM and SIGHUP unwind like Ctrl-C, so that every `finally` runs."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _exit)


def _exit(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
