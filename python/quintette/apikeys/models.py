from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone

from quintette.apikeys import keys


def validate_scopes(text: str) -> None:
    """RFC 6749, 3.3: printable ASCII without quotes and backslashes, between spaces."""
    if any(not "!" <= c <= "~" or c in '"\\' for scope in text.split() for c in scope):
        raise ValidationError("Scopes are printable ASCII without quotes and backslashes.")


class APIKeyManager(models.Manager["APIKey"]):
    def create_key(
        self,
        name: str,
        *,
        user: Any = None,
        scopes: Iterable[str] = (),
        expires_at: datetime | None = None,
    ) -> tuple[APIKey, str]:
        """A new key and its text, which cannot be had again."""
        key = self.model(
            name=name, user=user, scopes=" ".join(dict.fromkeys(scopes)), expires_at=expires_at
        )
        text = key.renew()
        key.full_clean()
        key.save(using=self.db, force_insert=True)
        return key, text


class APIKey(models.Model):
    """A key that was given out. Its text is known to nobody but its holder."""

    name: models.CharField[str, str] = models.CharField(
        max_length=150, help_text="Who holds it, and what for."
    )
    prefix: models.CharField[str, str] = models.CharField(
        max_length=12, unique=True, editable=False
    )
    digest: models.CharField[str, str] = models.CharField(max_length=64, editable=False)
    user_id: Any
    user: models.ForeignKey[Any, Any] = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="api_keys",
        help_text="Whom its requests are taken for; empty: a machine.",
    )
    scopes: models.TextField[str, str] = models.TextField(
        blank=True, validators=[validate_scopes], help_text="What it is good for, between spaces."
    )
    created_at: models.DateTimeField[datetime, datetime] = models.DateTimeField(
        default=timezone.now, editable=False
    )
    expires_at: models.DateTimeField[datetime | None, datetime | None] = models.DateTimeField(
        null=True, blank=True
    )
    revoked_at: models.DateTimeField[datetime | None, datetime | None] = models.DateTimeField(
        null=True, blank=True, editable=False
    )
    last_used_at: models.DateTimeField[datetime | None, datetime | None] = models.DateTimeField(
        null=True, blank=True, editable=False
    )

    objects = APIKeyManager()

    class Meta:
        verbose_name = "API key"
        verbose_name_plural = "API keys"
        ordering = ["-created_at", "-pk"]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix})"

    def renew(self) -> str:
        """Gives the key another text, which is returned and not kept."""
        self.prefix, text = keys.make_key()
        self.digest = keys.digest_of(text)
        return text

    @property
    def scope_set(self) -> frozenset[str]:
        return frozenset(self.scopes.split())

    def is_good(self, now: datetime) -> bool:
        """Neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    def revoke(self) -> None:
        """For good. Other processes know it once their caches are too old (APIKeyAuth)."""
        if self.revoked_at is None:
            self.revoked_at = timezone.now()
            self.save(update_fields=["revoked_at"])
