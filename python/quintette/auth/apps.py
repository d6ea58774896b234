"""The Django app of refresh tokens and revocations. Verifying tokens does not need it."""

from __future__ import annotations

from django.apps import AppConfig


class AuthConfig(AppConfig):
    name = "quintette.auth"
    label = "quintette_auth"
    verbose_name = "Tokens"
    default_auto_field = "django.db.models.BigAutoField"
