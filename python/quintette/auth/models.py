"""Logins, their refresh tokens, and tokens that were revoked. No token is stored: of refresh tokens
there is a digest, of others the `jti`."""

# Django's mypy plugin would know the fields' types.
# mypy: disable-error-code="var-annotated, no-any-return"

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.utils import timezone

TOKEN_ID_MAX = 255


class Login(models.Model):
    """What a client got when the user proved who they are: a row of refresh tokens, of which the
    last one is good. Revoking it ends all of them."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", editable=False
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(db_index=True, editable=False)
    """However often it is refreshed."""
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    password_hash = models.CharField(max_length=128, blank=True, editable=False)
    """Django's session hash: a changed password ends the login."""

    def __str__(self) -> str:
        return str(self.id)


class RefreshToken(models.Model):
    """Is used once."""

    login = models.ForeignKey(Login, on_delete=models.CASCADE, related_name="refresh_tokens")
    digest = models.CharField(max_length=64, unique=True)
    """SHA-256, in hex. Of 256 random bits, so that a slow hash would gain nothing."""
    expires_at = models.DateTimeField(db_index=True)
    used_at = models.DateTimeField(null=True)
    access_id = models.CharField(max_length=TOKEN_ID_MAX)
    """`jti` of the access token that was issued with it."""
    access_expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"refresh token {self.pk}"


class RevokedToken(models.Model):
    """An access token that is refused before it expires."""

    token_id = models.CharField("jti", max_length=TOKEN_ID_MAX, primary_key=True)
    expires_at = models.DateTimeField(db_index=True)
    revoked_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.token_id
