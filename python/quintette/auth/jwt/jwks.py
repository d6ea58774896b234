"""``JWKS``: the public keys of somebody who issues tokens, from where they publish them.

A set from a URL is fetched by a thread: when it is first needed, again once it is older than
``refresh_seconds``, and when a token names a key that is not in it, though never more often than
every ``retry_seconds``. Meanwhile, and when fetching fails, the former keys are used, for
``stale_seconds`` at most.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from quintette import _quintette
from quintette._quintette import JwtKey
from quintette.auth.jwt.fetching import DOCUMENT_BYTES_MAX, check_url, fetch
from quintette.auth.jwt.keys import ALGORITHMS, keys_of_set

logger = logging.getLogger("quintette.auth")

_PUBLIC = tuple(name for name in ALGORITHMS if not name.startswith("HS"))


class JWKS:
    """A JWK Set (RFC 7517): a dict, a path, or a URL (``https``; ``http`` from this machine)."""

    def __init__(
        self,
        source: str | Path | Mapping[str, Any],
        *,
        algorithms: Sequence[str] | None = None,
        refresh_seconds: float = 600,
        retry_seconds: float = 30,
        stale_seconds: float = 86_400,
        timeout_seconds: float = 5,
    ) -> None:
        """``algorithms``: keys of others are left out. By default the asymmetric ones, and for what
        does not come from a URL HMAC, too."""
        self.url = source if isinstance(source, str) and "://" in source else None
        self.algorithms = tuple(algorithms or (_PUBLIC if self.url else ALGORITHMS))
        unknown = set(self.algorithms) - set(ALGORITHMS)
        if unknown:
            raise ValueError(f"unknown algorithm {min(unknown)}")
        self._refresh_seconds = refresh_seconds
        self._retry_seconds = retry_seconds
        self._stale_seconds = stale_seconds
        self._timeout_seconds = timeout_seconds
        self._keys: tuple[JwtKey, ...] = ()
        self._text = b""
        self._verifiers: list[_quintette.JwtVerifier] = []
        self._lock = threading.Lock()
        self._fetching: Future[None] | None = None
        self._tried_at = self._fetched_at = float("-inf")
        if self.url is not None:
            check_url(self.url)
        else:
            document = source if isinstance(source, Mapping) else json.loads(_read(source))
            self._keys = keys_of_set(document, self.algorithms)
            if not self._keys:
                raise ValueError("the JWK Set has no key that can be used")

    @property
    def keys(self) -> tuple[JwtKey, ...]:
        return self._keys

    def serve(self, verifier: _quintette.JwtVerifier) -> None:
        """The verifier is to have the current keys from now on."""
        with self._lock:
            self._verifiers.append(verifier)
            self._hand_over(verifier)

    # --- when to fetch ---

    def due_at(self) -> float:
        """When ``refresh()`` is to be called next, in ``time.monotonic()``'s seconds."""
        if self.url is None:
            return float("inf")
        with self._lock:
            return max(
                self._fetched_at + self._refresh_seconds, self._tried_at + self._retry_seconds
            )

    def refresh(self) -> Future[None] | None:
        """Begins to fetch, or joins whoever does. None: it was tried a moment ago."""
        if self.url is None:
            return None
        with self._lock:
            if self._fetching is not None:
                return self._fetching
            now = time.monotonic()
            if now < self._tried_at + self._retry_seconds:
                return None
            self._tried_at = now
            future: Future[None] = Future()
            self._fetching = future
        # Its end is not waited for: a daemon, bounded by the timeout.
        threading.Thread(target=self._fetch, args=(future,), daemon=True).start()
        return future

    async def arefresh(self, future: Future[None]) -> None:
        """Waits for what ``refresh()`` began, on any loop."""
        await asyncio.wait([asyncio.wrap_future(future)], timeout=2 * self._timeout_seconds)

    # --- fetching ---

    def _fetch(self, future: Future[None]) -> None:
        try:
            text = fetch(str(self.url), self._timeout_seconds)
            keys = keys_of_set(json.loads(text), self.algorithms)
            self._take(text, keys)
        except Exception as error:
            logger.warning("No new keys from %s: %s", self.url, error)
            self.expire()
        finally:
            with self._lock:
                self._fetching = None
            future.set_result(None)

    def _take(self, text: bytes, keys: tuple[JwtKey, ...]) -> None:
        with self._lock:
            self._fetched_at = time.monotonic()
            if text == self._text:
                return
            self._text, self._keys = text, keys
            self._hand_over(*self._verifiers)

    def expire(self) -> None:
        """Forgets keys that were not fetched for longer than ``stale_seconds``."""
        with self._lock:
            if time.monotonic() - self._fetched_at > self._stale_seconds and self._keys:
                self._text, self._keys = b"", ()
                self._hand_over(*self._verifiers)

    def _hand_over(self, *verifiers: _quintette.JwtVerifier) -> None:
        for verifier in verifiers:
            verifier.keys = self._keys


def _read(path: str | Path) -> bytes:
    with Path(path).open("rb") as file:
        text = file.read(DOCUMENT_BYTES_MAX + 1)
    if len(text) > DOCUMENT_BYTES_MAX:
        raise ValueError(f"{path}: more than {DOCUMENT_BYTES_MAX} bytes")
    return text
