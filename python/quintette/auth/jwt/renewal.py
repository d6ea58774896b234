"""Keeping a verifier's keys and revocations new. The extension asks (jwt_guard.c) when the
time has come, and when a token names a key that is not known."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from concurrent.futures import Future
from typing import Final

from quintette import _quintette
from quintette.auth.jwt.jwks import JWKS

# Shared with binding/auth/jwt_guard.c.
RENEW_REVOKED: Final = 1
RENEW_KEYS: Final = 2


class Reading:
    """The revocations are being read, for whoever asks meanwhile."""

    def __init__(self, begun: float) -> None:
        self.begun = begun
        self.done: Future[bool] = Future()
        # So that no one of those who wait can cancel it for the others.
        self.done.set_running_or_notify_cancel()


class Renewal:
    """What a ``JWT`` renews, if anything.

    Revocations are read again at half of the time within which they are to be known: by one
    request, while others go on with the former ones for all of that time at most. From then on, and
    before they were read at all, every request waits for them."""

    def __init__(self, jwks: JWKS | None, revoked_within: float | None) -> None:
        self._jwks = jwks if jwks is not None and jwks.url is not None else None
        self._set = jwks
        self._revoked_within = revoked_within
        self._revoked_due_at = float("inf") if revoked_within is None else 0.0
        self._revoked_until = float("-inf")  # so long those that were read do
        self._reading: Reading | None = None
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
            self._jwks.expire()
            self._jwks.refresh()  # meanwhile the former keys do, unless they are too old
        if now < self._revoked_due_at or self._revoked_within is None:
            self._plan()
            return None
        reading = self._reading
        # One that was begun too long ago tells nothing, and may never end: its loop is gone.
        if reading is not None and now >= reading.begun + self._revoked_within:
            reading = None
        if reading is None:
            self._reading = Reading(now)
            return self._read_revoked(self._reading, done)
        return None if now < self._revoked_until else self._join(reading, done)

    async def _wait_for_keys(self, future: Future[None], done: int) -> int:
        assert self._jwks is not None
        await self._jwks.arefresh(future)
        self._plan()
        return done | RENEW_KEYS

    async def _read_revoked(self, reading: Reading, done: int) -> int:
        from quintette.auth.tokens import arevoked_ids

        assert self._verifier is not None
        assert self._revoked_within is not None
        is_read = False
        try:
            revoked = await arevoked_ids()
            if reading.begun + self._revoked_within >= self._revoked_until:  # none was begun later
                self._revoked_until = reading.begun + self._revoked_within
                self._revoked_due_at = reading.begun + self._revoked_within / 2
                if revoked != self._verifier.revoked:
                    self._verifier.revoked = revoked
            is_read = True
        finally:
            # If it failed the next request tries again, and so do those who wait.
            if self._reading is reading:
                self._reading = None
            self._plan()
            reading.done.set_result(is_read)
        return done | RENEW_REVOKED

    async def _join(self, reading: Reading, done: int) -> int:
        assert self._revoked_within is not None
        left = max(0.0, reading.begun + self._revoked_within - time.monotonic())
        future = asyncio.wrap_future(reading.done)
        await asyncio.wait([future], timeout=left)
        if future.done() and future.result():
            return done | RENEW_REVOKED
        again = self.renew(RENEW_REVOKED, done)
        return await again if again is not None else done | RENEW_REVOKED
