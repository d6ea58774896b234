"""API keys, of the app ``quintette.apikeys``."""

from __future__ import annotations

import hashlib
import hmac
from datetime import timedelta
from typing import Any, Final

from django.apps import apps
from django.contrib.auth import get_user_model
from django.db.models import Q
from django.utils import timezone

from quintette import _quintette
from quintette.api.errors import RegistrationError
from quintette.api.guards import GuardedRoute
from quintette.apikeys.keys import VerifiedKey, make_cache, prefix_of
from quintette.auth.schemes import FIELD, SCHEME, Scheme, unauthorized
from quintette.auth.users import LazyUser, nobody

CACHE_SECONDS: Final = 10.0
"""For so long a verified key is good without asking the database, in each process: so long a key
may outlive its being revoked by another one."""
CACHE_KEYS: Final = 1024
"""Verified keys that one APIKeyAuth remembers."""
USED_SECONDS: Final = 60
"""``last_used_at`` is written so often at most."""


class APIKeyAuth(Scheme):
    """A key in the field ``X-API-Key``, or another one; with ``scheme``, in ``Authorization``
    behind it: ``APIKeyAuth(scheme="Api-Key")``. ``cache_seconds=0`` asks the database each time.

    ``request.auth`` is a VerifiedKey; its user, if it has one, is loaded when somebody looks."""

    def __init__(
        self,
        header: str = "X-API-Key",
        *,
        scheme: str | None = None,
        optional: bool = False,
        cache_seconds: float = CACHE_SECONDS,
    ) -> None:
        for name in (header, scheme or "x"):
            if not name.isascii() or not name.replace("-", "").isalnum():
                raise RegistrationError(f"{name!r} is no name of a field or scheme")
        if not 0 <= cache_seconds <= 300:
            raise RegistrationError("cache_seconds is between 0 and 300")
        self.header = header
        self.scheme = scheme
        self.optional = optional
        self.cache_seconds = cache_seconds
        self._cache = make_cache(CACHE_KEYS)

    def challenges(self) -> tuple[str, ...]:
        return (self.scheme or f'ApiKey header="{self.header}"',)

    def build(
        self, route: GuardedRoute, *, required: bool, in_any: bool = False
    ) -> _quintette.AuthGuard:
        if not apps.is_installed("quintette.apikeys"):
            raise RegistrationError('APIKeyAuth() needs "quintette.apikeys" in INSTALLED_APPS')
        name = self.scheme or self.header.lower()
        return _quintette.CredentialGuard(
            kind=SCHEME if self.scheme else FIELD,
            name=name.encode(),
            authenticate=self._authenticate,
            unauthorized=unauthorized(self.challenges()),
            required=required,
            find_user=_find_user,
            digest=hashlib.sha256,
            cache=self._cache.verified,
        )

    def _authenticate(self, text: bytes, digest: bytes) -> Any:
        """Called for what is not in the cache. None, or a coroutine that gives the key or None."""
        prefix = prefix_of(text)
        return None if prefix is None else self._look_up(prefix, digest)

    async def _look_up(self, prefix: str, digest: bytes) -> VerifiedKey | None:
        from quintette.apikeys.models import APIKey

        now = timezone.now()
        key = await APIKey.objects.select_related("user").filter(prefix=prefix).afirst()
        # Compared whether or not there is such a key, in a time that does not tell.
        same = hmac.compare_digest(key.digest if key else "0" * 64, digest.hex())
        if key is None or not same or not key.is_good(now):
            return None
        if key.user is not None and not key.user.is_active:
            return None
        await _touch(key, now)
        verified = VerifiedKey(key.pk, key.name, key.prefix, key.user_id, key.scope_set)
        seconds = self.cache_seconds
        if key.expires_at is not None:
            seconds = min(seconds, (key.expires_at - now).total_seconds())
        if seconds > 0:
            self._cache.verified.put(digest, verified, seconds)
        return verified


async def _touch(key: Any, now: Any) -> None:
    before = now - timedelta(seconds=USED_SECONDS)
    if key.last_used_at is not None and key.last_used_at > before:
        return
    # The condition again, for whoever is at it, too.
    unused = Q(last_used_at__isnull=True) | Q(last_used_at__lte=before)
    await type(key).objects.filter(unused, pk=key.pk).aupdate(last_used_at=now)


def _find_user(key: VerifiedKey) -> LazyUser | None:
    if key.user_id is None:
        return None
    users: Any = get_user_model()._default_manager

    def load() -> Any:
        return _active(users.filter(pk=key.user_id).first())

    async def aload() -> Any:
        return _active(await users.filter(pk=key.user_id).afirst())

    return LazyUser(load, aload)


def _active(user: Any) -> Any:
    return user if user is not None and user.is_active else nobody()
