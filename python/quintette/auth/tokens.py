"""Refresh tokens and revocations, in the database of the app ``quintette.auth``.

A refresh token is used once and replaced by another one (RFC 9700, 4.14.2). One that is used again
was stolen, from the client or by it: whoever holds its successor is shut out, too. Functions here
are synchronous; those with an ``a`` are their asynchronous forms.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from asgiref.sync import sync_to_async
from django.db import transaction
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from quintette.auth.jwt.scheme import JWT, LIFETIME, REFRESH_LIFETIME, default_jwt
from quintette.auth.models import TOKEN_ID_MAX, Login, RefreshToken, RevokedToken

logger = logging.getLogger("django.security.tokens")

LOGIN_LIFETIME = timedelta(days=90)
_SECRET_BYTES = 32
_SECRET_TEXT_MAX = 128

ClaimsOf = Callable[[Any], dict[str, Any]]


class RefreshError(Exception):
    """The refresh token is refused. ``reason``: "unknown", "expired", "revoked", "reused", or
    "user" (inactive, or the password was changed)."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"The refresh token is refused: {reason}.")
        self.reason = reason


class TokenPair(msgspec.Struct, frozen=True, kw_only=True):
    """RFC 6749, 5.1."""

    access_token: str
    token_type: str = "Bearer"
    expires_in: int
    refresh_token: str


def log_in(
    user: Any,
    *,
    jwt: JWT | None = None,
    lifetime: timedelta = LIFETIME,
    refresh_lifetime: timedelta = REFRESH_LIFETIME,
    login_lifetime: timedelta = LOGIN_LIFETIME,
    claims: ClaimsOf | None = None,
) -> TokenPair:
    """Tokens for a user who has proved who they are. ``claims(user)`` gives more claims for the
    access token."""
    now = timezone.now()
    with transaction.atomic():
        login = Login.objects.create(
            user=user, expires_at=now + login_lifetime, password_hash=_password_hash(user)
        )
        return _issue(login, user, jwt, lifetime, refresh_lifetime, claims)


def refresh(
    token: str,
    *,
    jwt: JWT | None = None,
    lifetime: timedelta = LIFETIME,
    refresh_lifetime: timedelta = REFRESH_LIFETIME,
    claims: ClaimsOf | None = None,
) -> TokenPair:
    """New tokens for a refresh token, which is used up. RefreshError; where it was used before, its
    login is revoked. Not to be called within a transaction that the error would roll back."""
    found = _find(token)
    login = found.login
    reason = _refusal(found, login)
    if reason is None:
        with transaction.atomic():
            # Of two at once one finds it unused.
            unused = RefreshToken.objects.filter(
                pk=found.pk, used_at=None, login__revoked_at=None
            ).update(used_at=timezone.now())
            if unused:
                return _issue(login, login.user, jwt, lifetime, refresh_lifetime, claims)
        reason = "reused"
    if reason == "reused":
        logger.warning("A refresh token of user %s was used again: login revoked", login.user_id)
        revoke_login(login)
    raise RefreshError(reason)


def revoke(token: str) -> None:
    """Ends the login of a refresh token, used or not. One that is not known is no error (RFC 7009,
    2.2)."""
    try:
        revoke_login(_find(token).login)
    except RefreshError:
        return


def revoke_login(login: Login) -> None:
    """Its refresh tokens are refused at once, its access tokens as soon as verifiers have read the
    revocations (``JWT(revoked_within=...)``)."""
    now = timezone.now()
    with transaction.atomic():
        Login.objects.filter(pk=login.pk, revoked_at=None).update(revoked_at=now)
        live = RefreshToken.objects.filter(login=login, access_expires_at__gt=now)
        RevokedToken.objects.bulk_create(
            [
                RevokedToken(token_id=one.access_id, expires_at=one.access_expires_at)
                for one in live
            ],
            ignore_conflicts=True,
        )


def revoke_user(user: Any) -> None:
    """Ends all logins of a user."""
    for login in Login.objects.filter(user=user, revoked_at=None):
        revoke_login(login)


def revoke_token(token_id: str, expires_at: datetime | None = None) -> None:
    """Refuses the access token with this `jti`. ``expires_at``: until when that has to be known; by
    default for a day."""
    if not token_id or len(token_id) > TOKEN_ID_MAX:
        raise ValueError(f"a jti has between 1 and {TOKEN_ID_MAX} characters")
    until = expires_at or timezone.now() + timedelta(days=1)
    RevokedToken.objects.update_or_create(token_id=token_id, defaults={"expires_at": until})


async def arevoked_ids() -> frozenset[str]:
    """The `jti` of all that were revoked and have not expired."""
    rows = RevokedToken.objects.filter(expires_at__gt=timezone.now()).values_list(
        "token_id", flat=True
    )
    return frozenset([token_id async for token_id in rows])


def purge(now: datetime | None = None) -> int:
    """Deletes what has expired. How many rows."""
    when = now or timezone.now()
    dead = (
        Login.objects.filter(expires_at__lte=when),
        RefreshToken.objects.filter(expires_at__lte=when, access_expires_at__lte=when),
        RevokedToken.objects.filter(expires_at__lte=when),
    )
    return sum(rows.delete()[0] for rows in dead)


alog_in = sync_to_async(log_in)
arefresh = sync_to_async(refresh)
arevoke = sync_to_async(revoke)
arevoke_login = sync_to_async(revoke_login)
arevoke_user = sync_to_async(revoke_user)
arevoke_token = sync_to_async(revoke_token)


# --- steps ------------------------------------------------------------------------------


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _find(token: str) -> RefreshToken:
    # Looked up by its digest: what the database's comparison tells by its time is of no use.
    found = None
    if len(token) <= _SECRET_TEXT_MAX:
        rows = RefreshToken.objects.select_related("login__user")
        found = rows.filter(digest=_digest(token)).first()
    if found is None:
        raise RefreshError("unknown")
    return found


def _refusal(found: RefreshToken, login: Login) -> str | None:
    now = timezone.now()
    if login.revoked_at is not None:
        return "revoked"
    if found.used_at is not None:
        return "reused"
    if now >= found.expires_at or now >= login.expires_at:
        return "expired"
    user = login.user
    if not getattr(user, "is_active", True) or not _same_password(user, login.password_hash):
        return "user"
    return None


def _password_hash(user: Any) -> str:
    return user.get_session_auth_hash() if hasattr(user, "get_session_auth_hash") else ""


def _same_password(user: Any, known: str) -> bool:
    """As for a session: by ``SECRET_KEY`` or one of its fallbacks."""
    if constant_time_compare(known, _password_hash(user)):
        return True
    fallbacks = getattr(user, "get_session_auth_fallback_hash", tuple)
    return any(constant_time_compare(known, fallback) for fallback in fallbacks())


def _issue(
    login: Login,
    user: Any,
    jwt: JWT | None,
    lifetime: timedelta,
    refresh_lifetime: timedelta,
    claims: ClaimsOf | None,
) -> TokenPair:
    secret = base64.urlsafe_b64encode(secrets.token_bytes(_SECRET_BYTES)).rstrip(b"=").decode()
    token_id = secrets.token_urlsafe(16)
    seconds = max(1, int(lifetime.total_seconds()))
    now = int(time.time())
    RefreshToken.objects.create(
        login=login,
        digest=_digest(secret),
        expires_at=min(timezone.now() + refresh_lifetime, login.expires_at),
        access_id=token_id,
        access_expires_at=datetime.fromtimestamp(now + seconds, UTC),
    )
    more = claims(user) if claims is not None else {}
    access = (jwt or default_jwt()).issue(user, lifetime=lifetime, **{**more, "jti": token_id})
    return TokenPair(access_token=access, expires_in=seconds, refresh_token=secret)
