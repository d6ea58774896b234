"""What responses say of a quota counts down while a test goes on."""

from __future__ import annotations

import time
from collections.abc import Iterable


class Countdown:
    """Compares fields with those of its beginning, less the seconds that have passed since."""

    def __init__(self) -> None:
        self._begun = time.monotonic()

    def shows(self, fields: Iterable[str], right: Iterable[str]) -> bool:
        """Each ends in a number of seconds, which is rounded up."""
        passed = int(time.monotonic() - self._begun)
        return all(
            (what, True) == (right_what, int(least) - passed <= int(seconds) <= int(least))
            for (what, seconds), (right_what, least) in zip(
                map(_split, fields), map(_split, right), strict=True
            )
        )


def _split(field: str) -> tuple[str, str]:
    what = field.rstrip("0123456789")
    return what, field.removeprefix(what)
