"""``manage.py check``: what tokens need of the project's settings."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress

from django.apps import AppConfig, apps
from django.conf import settings
from django.core import checks
from django.urls import get_resolver

SECRET_BYTES_MIN = 32


def check_tokens(
    app_configs: Sequence[AppConfig] | None, **kwargs: object
) -> list[checks.CheckMessage]:
    # Where APIs are declared; what cannot be imported is another check's to say.
    with suppress(Exception):
        get_resolver().url_patterns  # noqa: B018
    return list(_problems()) if "quintette.auth.jwt.scheme" in sys.modules else []


def _problems() -> Iterator[checks.CheckMessage]:
    from quintette.auth.jwt.scheme import JWT

    declared = list(JWT.instances)
    secret = settings.SECRET_KEY
    size = len(secret.encode() if isinstance(secret, str) else secret)
    if any(jwt.is_derived for jwt in declared) and size < SECRET_BYTES_MIN:
        yield checks.Error(
            f"SECRET_KEY has {size} bytes, and tokens are signed by it: who guesses it is anybody.",
            hint=f"Make it {SECRET_BYTES_MIN} random bytes at least, or give JWT() another key.",
            id="quintette.E010",
        )
    if apps.is_installed("quintette.auth"):
        return
    if any(jwt.revoked_within is not None or jwt.issues_refresh_tokens for jwt in declared):
        yield checks.Error(
            "Refresh tokens and revocations need the app 'quintette.auth'.",
            hint="Add it to INSTALLED_APPS and run `manage.py migrate`.",
            id="quintette.E011",
        )
