"""``CurrentUser[User]`` and ``CurrentAuth[Claims]``: who asks, as a handler's parameter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Final, TypeVar

from quintette import _quintette
from quintette.api import types
from quintette.api.guards import Guard, GuardedRoute, Order
from quintette.api.markers import Marker, Source
from quintette.api.signature import Parameter
from quintette.auth import compiling

T = TypeVar("T")

USER: Final = "user"
AUTH: Final = "auth"

CurrentUser = Annotated[T, Marker(Source.AUTH, alias=USER)]
"""The user, loaded. Nobody is answered with 401, unless the type has None: ``CurrentUser[User |
None]``."""

CurrentAuth = Annotated[T, Marker(Source.AUTH, alias=AUTH)]
"""What was verified: the claims of a token, an API key. None for a session."""


class Known(Guard):
    """Loads the user for the parameters of a handler."""

    order: ClassVar[int] = Order.AUTH + 1

    def __init__(self, *, optional: bool) -> None:
        self._optional = optional

    def compile(self, route: GuardedRoute) -> _quintette.Guard:
        return compiling.guard_of_user(route, optional=self._optional)


class Verified(Guard):
    """Somebody must ask for a handler that takes what was verified."""

    order: ClassVar[int] = Order.AUTH + 1

    def compile(self, route: GuardedRoute) -> _quintette.Guard:
        return compiling.guard_of_auth(route)


def guards_for(parameters: Sequence[Parameter]) -> tuple[Guard, ...]:
    """Those that the parameters of a handler imply."""
    asked = [parameter for parameter in parameters if parameter.source is Source.AUTH]
    users = [types.without_none(p.type)[1] for p in asked if p.key == USER]
    auths = [types.without_none(p.type)[1] for p in asked if p.key == AUTH]
    guards: list[Guard] = []
    if users:
        guards.append(Known(optional=all(users)))
    if not all(auths):
        guards.append(Verified())
    return tuple(guards)
