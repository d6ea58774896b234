"""Users who name themselves in X-User; "claims:NAME" is verified, yet no user."""

from __future__ import annotations

from typing import Any

from quintette import _quintette
from quintette.api.guards import GuardedRoute
from quintette.auth.schemes import FIELD, Scheme, unauthorized


class User:
    is_authenticated = True

    def __init__(self, pk: str) -> None:
        self.pk = pk


def _authenticate(name: bytes) -> tuple[Any, Any]:
    kind, _, subject = name.decode().rpartition(":")
    return ({"sub": subject}, None) if kind else (None, User(subject))


class NamesItself(Scheme):
    optional = True

    def challenges(self) -> tuple[str, ...]:
        return ("Name",)

    def build(
        self, route: GuardedRoute, *, required: bool, in_any: bool = False
    ) -> _quintette.AuthGuard:
        return _quintette.CredentialGuard(
            kind=FIELD,
            name=b"X-User",
            authenticate=_authenticate,
            takes_request=False,
            unauthorized=unauthorized(self.challenges()),
            required=required,
        )
