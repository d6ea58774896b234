"""HTTP Basic (RFC 7617), checked by Django's ``AUTHENTICATION_BACKENDS``."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from django.conf import settings
from django.contrib.auth import aauthenticate
from django.http import HttpRequest

from quintette import _quintette
from quintette.api.errors import HTTPError, RegistrationError
from quintette.api.guards import GuardedRoute
from quintette.auth.schemes import BASIC, Scheme, unauthorized

_FORWARDED = ("HTTP_FORWARDED", "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO")


class BasicAuth(Scheme):
    """User name and password in each request, which must come by HTTPS, unless it is from this
    machine or ``DEBUG`` is set. Every request hashes a password, which is slow by intention: put a
    limit by address before it."""

    def __init__(self, realm: str = "api", *, optional: bool = False) -> None:
        if not realm.isascii() or not realm.isprintable() or '"' in realm or "\\" in realm:
            raise RegistrationError("a realm is printable ASCII without quotes")
        self.realm = realm
        self.optional = optional

    def challenges(self) -> tuple[str, ...]:
        return (f'Basic realm="{self.realm}", charset="UTF-8"',)

    def build(
        self, route: GuardedRoute, *, required: bool, in_any: bool = False
    ) -> _quintette.AuthGuard:
        return _quintette.CredentialGuard(
            kind=BASIC,
            name=b"Basic",
            authenticate=_authenticate,
            takes_request=True,
            unauthorized=unauthorized(self.challenges()),
            required=required,
        )


async def _authenticate(
    credentials: tuple[str, str], request: HttpRequest
) -> tuple[None, Any] | None:
    if not _is_private(request):
        raise HTTPError(403, "Basic authentication needs HTTPS.")
    name, password = credentials
    user = await aauthenticate(request, username=name, password=password)
    return None if user is None else (None, user)


def _is_private(request: HttpRequest) -> bool:
    """Nobody on the way can read the password."""
    return request.is_secure() or settings.DEBUG or _is_local(request)


def _is_local(request: HttpRequest) -> bool:
    """From this machine, and not by a proxy that speaks for somebody else."""
    # The fields of one that is not trusted have been taken out.
    if any(name in request.META for name in _FORWARDED) or getattr(request, "is_doubted", False):
        return False
    try:
        return ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False
