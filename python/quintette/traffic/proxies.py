"""``QUINTETTE["TRUSTED_PROXIES"]``: whom to believe for whom they ask."""

from __future__ import annotations

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured

from quintette import _quintette
from quintette.conf import Settings

# Shared with include/q5/forwarded.h.
_KINDS = {"X-Forwarded-For": 0, "Forwarded": 1}
UNIX = "unix"


def proxies_of(settings: Settings) -> _quintette.Proxies | None:
    """None where the setting is unset: then nothing that is forwarded is looked at."""
    trusted = settings.trusted_proxies
    if trusted is None:
        return None
    networks = tuple(network for network in trusted if network != UNIX)
    try:
        return _quintette.Proxies(
            networks,
            UNIX in trusted,
            _KINDS[settings.forwarded_header],
            _claims(),
            django_settings.USE_X_FORWARDED_HOST,
        )
    except ValueError as error:
        raise ImproperlyConfigured(
            f"QUINTETTE['TRUSTED_PROXIES']: {error}; write '10.0.0.0/8' without bits behind the "
            f"prefix, '2001:db8::1' or 'unix'."
        ) from None


def _claims() -> tuple[bytes, ...]:
    """The field by which the project's own setting tells TLS."""
    header = django_settings.SECURE_PROXY_SSL_HEADER
    if not header:
        return ()
    name = str(header[0]).removeprefix("HTTP_").replace("_", "-").lower()
    return (name.encode("latin-1", "replace"),)
