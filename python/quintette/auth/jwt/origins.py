"""Tokens in cookies and other sites: a browser sends a cookie along, whoever makes it ask."""

from __future__ import annotations

from collections.abc import Callable, Collection
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest
from django.utils.http import is_same_domain

from quintette.api.errors import RegistrationError


def checked_origins(origins: Collection[str]) -> frozenset[str]:
    for origin in origins:
        if _origin_of(origin) != origin:
            raise RegistrationError(f"{origin!r} is no origin such as 'https://example.com'")
    return frozenset(origins)


def same_site(trusted: frozenset[str]) -> Callable[[HttpRequest], bool]:
    """Whether an unsafe request comes from a page of the project's, or of an origin that is trusted
    (``trusted``, ``CSRF_TRUSTED_ORIGINS``). ``Sec-Fetch-Site`` is the browser's own word; what does
    not say where it comes from is refused."""

    def check(request: HttpRequest) -> bool:
        if request.headers.get("Sec-Fetch-Site") == "same-origin":
            return True
        origin = request.headers.get("Origin")
        if origin is None:
            origin = _origin_of(request.headers.get("Referer", ""))
        if not origin or origin == "null":
            return False
        own = f"{request.scheme}://{request.get_host()}"
        return origin == own or origin in trusted or _is_trusted(origin)

    return check


def _origin_of(url: str) -> str | None:
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return f"{parts.scheme}://{parts.netloc}" if parts.scheme and parts.netloc else None


def _is_trusted(origin: str) -> bool:
    """By Django's setting, which may have ``https://*.example.com``."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    for allowed in settings.CSRF_TRUSTED_ORIGINS:
        scheme, _, host = allowed.partition("://")
        if scheme == parts.scheme and is_same_domain(parts.netloc, host.lstrip("*")):
            return True
    return False
