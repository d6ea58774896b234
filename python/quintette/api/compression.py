"""Compressed responses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from quintette import _quintette, _streams
from quintette.api.errors import RegistrationError
from quintette.api.guards import Guard, GuardedRoute, Order

CODINGS = ("zstd", "br", "gzip")
LEVEL_MAX = 9
TYPES_MAX = 64

TYPES = (
    "text/*",
    "application/json",
    "+json",
    "application/x-ndjson",
    "application/jsonl",
    "application/javascript",
    "application/xml",
    "+xml",
    "application/wasm",
    "application/x-www-form-urlencoded",
    "font/ttf",
    "font/otf",
    "image/bmp",
    "image/x-icon",
)
"""Types of content that become smaller; images, videos and archives are so already."""


class Compress(Guard):
    """Responses in a coding that the client takes: whole bodies and streams, each piece of a stream
    as soon as it is there.

    ``prefer`` names the codings, the best first, of those that the client likes alike; ``level`` is
    1 (fast) to 9 (small), 0 each coding's own. ``types`` are whole types, ``"text/*"`` or
    ``"+json"``. With ``padding`` the length of responses to requests with cookies is blurred, and
    ``zstd``, which has no room for that, is not used for them.
    """

    order: ClassVar[int] = Order.COMPRESS
    kind: ClassVar[str | None] = "compress"

    def __init__(
        self,
        min_size: int = 500,
        *,
        types: Sequence[str] = TYPES,
        prefer: Sequence[str] | None = None,
        level: int = 0,
        padding: bool = True,
    ) -> None:
        size: Any = min_size  # whatever the annotation says
        if not isinstance(size, int) or size < 0:
            raise RegistrationError(f"Compress: min_size is a number of bytes, not {min_size!r}")
        if not 0 <= level <= LEVEL_MAX:
            raise RegistrationError(f"Compress: level is between 0 and {LEVEL_MAX}, not {level}")
        if isinstance(types, str) or len(types) > TYPES_MAX:
            raise RegistrationError(f"Compress: types are at most {TYPES_MAX} strings")
        self._min_size = min_size
        self._types = tuple(_checked_type(item) for item in types)
        self._codings = _checked_codings(prefer)
        self._level = level
        self._padding = padding

    def compile(self, route: GuardedRoute) -> _quintette.Guard | None:
        if not self._codings:
            return None
        return _quintette.CompressGuard(
            codings=self._codings,
            level=self._level,
            min_size=self._min_size,
            types=self._types,
            padding=self._padding,
            over=_streams.encoded,
            over_async=_streams.encoded_async,
            in_pieces=_streams.encoded_in_pieces,
        )


def _checked_type(item: str) -> bytes:
    main, slash, sub = item.partition("/")
    if not item.isascii() or not (item.startswith("+") or (main and slash and sub)):
        raise RegistrationError(f'Compress: {item!r} is no type like "text/css" or "+json"')
    if "*" in item and (sub != "*" or "*" in main):
        raise RegistrationError(f'Compress: {item!r}: a "*" stands for a whole subtype')
    return item.lower().encode()


def _checked_codings(prefer: Sequence[str] | None) -> tuple[str, ...]:
    if prefer is None:
        return tuple(name for name in CODINGS if name in _quintette.codings)
    if isinstance(prefer, str) or len(set(prefer)) != len(prefer):
        raise RegistrationError("Compress: prefer lists each coding once")
    for name in prefer:
        if name not in CODINGS:
            raise RegistrationError(f"Compress: {name!r} is none of {', '.join(CODINGS)}")
        if name not in _quintette.codings:
            raise RegistrationError(f"Compress: this build is without {name}")
    return tuple(prefer)
