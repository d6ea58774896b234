"""CORS of a whole project: ``QUINTETTE["CORS"]`` and the middleware."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured

from quintette.api.errors import RegistrationError
from quintette.api.guards import Guard
from quintette.conf import CorsSettings, get_settings
from quintette.traffic.cors import CORS

MIDDLEWARE = "quintette.middleware.CORSMiddleware"


def project_cors() -> CORS:
    """What the settings say. ImproperlyConfigured where they say nothing, or something wrong."""
    given = get_settings().cors
    if given is None:
        raise ImproperlyConfigured(f"{MIDDLEWARE} needs QUINTETTE['CORS'].")
    try:
        return _made(given)
    except RegistrationError as error:
        raise ImproperlyConfigured(f"QUINTETTE['CORS']: {error}") from None


def project_guards(choice: bool | Sequence[str] | None = None) -> tuple[Guard, ...]:
    """Of typed routes: the middleware leaves those to a guard of theirs, wherever they run.
    ``choice`` is the API's: None and True, or with the middleware's name in it."""
    wanted = choice if isinstance(choice, bool) else choice is None or MIDDLEWARE in choice
    return (project_cors(),) if wanted and MIDDLEWARE in django_settings.MIDDLEWARE else ()


def _made(given: CorsSettings) -> CORS:
    options: dict[str, Any] = {
        name: value
        for name in CorsSettings.__struct_fields__
        if (value := getattr(given, name)) is not None
    }
    return CORS(**options)
