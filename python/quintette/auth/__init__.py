"""Who asks, and what they may: authentication and permissions of the typed API.

Names are imported when they are first asked for, so that a project pays for what it uses.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quintette.auth.apikey import APIKeyAuth
    from quintette.auth.basic import BasicAuth
    from quintette.auth.current import CurrentAuth, CurrentUser
    from quintette.auth.jwt import JWKS, JWT, Claims, TokenError, issue_token, token_routes
    from quintette.auth.objects import Allowed, ObjectGate, acheck_object, check_object
    from quintette.auth.permissions import (
        AllowAny,
        HasPerm,
        HasScope,
        InGroup,
        IsAuthenticated,
        IsOwner,
        IsStaff,
        IsSuperuser,
        Permission,
        ReadOnly,
    )
    from quintette.auth.schemes import AnyOf, HeaderScheme, Public, Scheme
    from quintette.auth.session import SessionAuth

_JWT = "quintette.auth.jwt"
_PERMISSIONS = "quintette.auth.permissions"
_NAMES = {
    "APIKeyAuth": "quintette.auth.apikey",
    "Claims": _JWT,
    "JWKS": _JWT,
    "JWT": _JWT,
    "TokenError": _JWT,
    "issue_token": _JWT,
    "token_routes": _JWT,
    "AllowAny": _PERMISSIONS,
    "Allowed": "quintette.auth.objects",
    "AnyOf": "quintette.auth.schemes",
    "BasicAuth": "quintette.auth.basic",
    "CurrentAuth": "quintette.auth.current",
    "CurrentUser": "quintette.auth.current",
    "HasPerm": _PERMISSIONS,
    "HasScope": _PERMISSIONS,
    "HeaderScheme": "quintette.auth.schemes",
    "InGroup": _PERMISSIONS,
    "IsAuthenticated": _PERMISSIONS,
    "IsOwner": _PERMISSIONS,
    "IsStaff": _PERMISSIONS,
    "IsSuperuser": _PERMISSIONS,
    "ObjectGate": "quintette.auth.objects",
    "Permission": _PERMISSIONS,
    "Public": "quintette.auth.schemes",
    "ReadOnly": _PERMISSIONS,
    "Scheme": "quintette.auth.schemes",
    "SessionAuth": "quintette.auth.session",
    "acheck_object": "quintette.auth.objects",
    "check_object": "quintette.auth.objects",
}

__all__ = [
    "JWKS",
    "JWT",
    "APIKeyAuth",
    "AllowAny",
    "Allowed",
    "AnyOf",
    "BasicAuth",
    "Claims",
    "CurrentAuth",
    "CurrentUser",
    "HasPerm",
    "HasScope",
    "HeaderScheme",
    "InGroup",
    "IsAuthenticated",
    "IsOwner",
    "IsStaff",
    "IsSuperuser",
    "ObjectGate",
    "Permission",
    "Public",
    "ReadOnly",
    "Scheme",
    "SessionAuth",
    "TokenError",
    "acheck_object",
    "check_object",
    "issue_token",
    "token_routes",
]


def __getattr__(name: str) -> Any:
    module = _NAMES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(module), name)
