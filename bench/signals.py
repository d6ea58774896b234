"""Ended from outside, the bench still ends its servers."""

from __future__ import annotations

import signal
from types import FrameType

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def exit_on_termination() -> None:
    """SIGTERM and SIGHUP unwind like Ctrl-C, so that every `finally` runs, and only the first of
    all these does: another would unwind out of the `finally` that ends the servers."""
    for number in _ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _exit)


def _exit(number: int, frame: FrameType | None) -> None:
    for each in _ENDING:
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)
