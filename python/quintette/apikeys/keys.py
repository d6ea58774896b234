"""The text of a key, and the caches of verified ones.

A key is ``q5_<prefix>_<secret>``: 48 random bits by which its row is found, which are no secret,
and 256 that are. Only the SHA-256 of the whole text is stored. A slow hash would protect passwords,
which can be guessed; nobody guesses 256 bits, however fast the hash is.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import Any, Final
from weakref import WeakSet

import msgspec

from quintette import _quintette

_PREFIX_BYTES: Final = 6
_SECRET_BYTES: Final = 32
_KEY: Final = re.compile(rb"q5_([0-9a-f]{12})_[A-Za-z0-9_-]{43}")

caches: Final[WeakSet[_Cache]] = WeakSet()


class VerifiedKey(msgspec.Struct, frozen=True):
    """What a request's ``auth`` is."""

    id: int
    name: str
    prefix: str
    user_id: Any
    """None: the key is a machine's."""
    scopes: frozenset[str]

    @property
    def pk(self) -> int:
        """Of its row, as a throttle by credentials asks for it."""
        return self.id


class _Cache:
    """Verified keys of one APIKeyAuth in this process."""

    def __init__(self, size_max: int) -> None:
        self.verified = _quintette.AuthCache(size_max)
        caches.add(self)


def make_cache(size_max: int) -> _Cache:
    return _Cache(size_max)


def make_key() -> tuple[str, str]:
    """A new key's prefix and text."""
    prefix = secrets.token_hex(_PREFIX_BYTES)
    return prefix, f"q5_{prefix}_{secrets.token_urlsafe(_SECRET_BYTES)}"


def prefix_of(text: bytes) -> str | None:
    """None: no key of ours, which costs nobody a query."""
    match = _KEY.fullmatch(text)
    return match[1].decode() if match else None


def digest_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def forget(instance: Any, **kwargs: Any) -> None:
    """A key was changed or deleted: this process asks the database again."""
    for cache in caches:
        cache.verified.drop(bytes.fromhex(instance.digest))
