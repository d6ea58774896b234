"""Keeping a verifier's keys and revocations new. The extension asks (jwt_guard.c) when the
time has come, and when a token names a key that is not known."""

from __future__ import annotations

import time
from collections.abc import Awaitable
from concurrent.futures import Future
from typing import Final

from quintette import _quintette
from quintette.auth.jwt.jwks import JWKS

# Shared with binding/auth/jwt_guard.c.
RENEW_REVOKED: Final = 1
RENEW_KEYS: Final = 2


class Renewal:
    """What a ``JWT`` renews, if anything."""

    def __init__(self, jwks: JWKS | None, revoked_within: float | None) -> None:
        self._jwks = jwks if jwks is not None and jwks.url is not None else None
        self._set = jwks
        self._revoked_within = revoked_within
        self._revoked_due_at = float("inf") if revoked_within is None else 0.0
        self._verifier: _quintette.JwtVerifier | None = None

    @property
    def is_needed(self) -> bool:
        return self._jwks is not None or self._revoked_within is not None

    def serve(self, verifier: _quintette.JwtVerifier) -> None:
        self._verifier = verifier
        if self._set is not None:
            self._set.serve(verifier)
        self._plan()

    def _plan(self) -> None:
        keys_due_at = self._jwks.due_at() if self._jwks is not None else float("inf")
        assert self._verifier is not None
        self._verifier.fresh_until = min(keys_due_at, self._revoked_due_at)

    def renew(self, what: int, done: int) -> Awaitable[int] | None:
        """None: there is nothing newer to wait for. ``done`` is what the request waited for, to
        which the result adds what it got."""
        if what == RENEW_KEYS:
            future = self._jwks.refresh() if self._jwks is not None else None
            return None if future is None else self._wait_for_keys(future, done)
        now = time.monotonic()
        if self._jwks is not None and now >= self._jwks.due_at():
            self._jwks.refresh()  # meanwhile the former keys do
        if now < self._revoked_due_at or self._revoked_within is None:
            self._plan()
            return None
        # This request reads them; the others go on with the former ones meanwhile.
        self._revoked_due_at = now + self._revoked_within
        self._plan()
        return self._read_revoked(done)

    async def _wait_for_keys(self, future: Future[None], done: int) -> int:
        assert self._jwks is not None
        await self._jwks.arefresh(future)
        self._plan()
        return done | RENEW_KEYS

    async def _read_revoked(self, done: int) -> int:
        from quintette.auth.tokens import arevoked_ids

        assert self._verifier is not None
        try:
            revoked = await arevoked_ids()
        except BaseException:
            # The next request tries again: what was revoked must not be accepted for longer.
            self._revoked_due_at = 0.0
            self._plan()
            raise
        if revoked != self._verifier.revoked:
            self._verifier.revoked = revoked
        return done | RENEW_REVOKED
