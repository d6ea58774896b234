"""How clients say who they are: what the ways have in common, and several of them together."""

from __future__ import annotations

from typing import Any, ClassVar

from django.http import HttpRequest

from quintette import _quintette
from quintette.api import answer
from quintette.api.errors import RegistrationError
from quintette.api.guards import AUTH_KIND, Guard, GuardedRoute, Order
from quintette.auth.calling import callable_in_loop
from quintette.auth.users import LazyUser, attach, load, nobody

# Shared with binding/auth/auth_credentials.c.
FIELD, SCHEME, BASIC = range(3)

_quintette.set_auth(LazyUser, load, nobody, attach)


class Scheme(Guard):
    """A way to say who one is. Somebody is required, unless it is ``optional``."""

    order: ClassVar[int] = Order.AUTH
    kind: ClassVar[str | None] = AUTH_KIND
    optional = False

    def challenges(self) -> tuple[str, ...]:
        """Values of WWW-Authenticate."""
        raise NotImplementedError

    def build(
        self, route: GuardedRoute, *, required: bool, in_any: bool = False
    ) -> _quintette.AuthGuard:
        """A new guard for this route. ``in_any``: it is one of several, and not required."""
        raise NotImplementedError

    def compile(self, route: GuardedRoute) -> _quintette.Guard | None:
        return self.build(route, required=not self.optional)


class HeaderScheme(Scheme):
    """Base of a project's own way: credentials in a header field, or in ``Authorization`` behind
    the name of a ``scheme``.

        class Ticket(HeaderScheme):
            header = "X-Ticket"

            async def authenticate(self, credentials: str, request: HttpRequest) -> Any:
                ticket = await Ticket.objects.filter(text=credentials).afirst()
                return ticket and (ticket, ticket.user)

    """

    header: ClassVar[str] = "Authorization"
    scheme: ClassVar[str | None] = None

    def __init__(self, *, optional: bool = False) -> None:
        if self.scheme is None and self.header.lower() == "authorization":
            raise RegistrationError(f"{type(self).__name__} has neither a header nor a scheme")
        self.optional = optional

    def authenticate(self, credentials: str, request: HttpRequest) -> Any:
        """``(auth, user)``, either of which may be None, or None: refused. May be ``async def``; a
        ``def`` is called in a thread unless it is marked ``@in_loop``."""
        raise NotImplementedError

    def challenges(self) -> tuple[str, ...]:
        return (self.scheme or f'Header name="{self.header}"',)

    def build(
        self, route: GuardedRoute, *, required: bool, in_any: bool = False
    ) -> _quintette.AuthGuard:
        call = callable_in_loop(self.authenticate)

        def authenticate(credentials: bytes, request: HttpRequest) -> Any:
            return call(credentials.decode("latin-1"), request)

        return _quintette.CredentialGuard(
            kind=SCHEME if self.scheme else FIELD,
            name=(self.scheme or self.header.lower()).encode("ascii"),
            authenticate=authenticate,
            takes_request=True,
            unauthorized=unauthorized(self.challenges()),
            required=required,
        )


class AnyOf(Scheme):
    """The first of these that finds credentials of its kind decides: wrong ones are refused, and
    the others are not tried."""

    def __init__(self, *ways: Scheme, optional: bool = False) -> None:
        if not ways:
            raise RegistrationError("AnyOf() of nothing: Public() lets everybody in")
        for way in ways:
            # Whatever the annotation says.
            one: Any = way
            if not isinstance(one, Scheme) or isinstance(one, AnyOf):
                raise RegistrationError(f"AnyOf() takes ways of authentication, not {way!r}")
        self.ways = ways
        self.optional = optional

    def challenges(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(text for way in self.ways for text in way.challenges()))

    def build(
        self, route: GuardedRoute, *, required: bool, in_any: bool = False
    ) -> _quintette.AuthGuard:
        ways: list[_quintette.AuthGuard] = [
            way.build(route, required=False, in_any=True) for way in self.ways
        ]
        if not required:
            # Nobody may ask, and come from another site: what checks that has its turn.
            ways += [way.build(route, required=False) for way in self.ways if _checks_origin(way)]
        try:
            return _quintette.AnyGuard(
                tuple(ways), unauthorized=unauthorized(self.challenges()), required=required
            )
        except ValueError as error:
            raise RegistrationError(str(error)) from error


def _checks_origin(way: Scheme) -> bool:
    return bool(getattr(way, "checks_origin", False))


class Public(Guard):
    """Lifts authentication and permissions of outer levels: nobody is asked who they are."""

    order: ClassVar[int] = Order.AUTH
    kind: ClassVar[str | None] = AUTH_KIND

    def compile(self, route: GuardedRoute) -> None:
        return None

    def lifts(self, outer: Guard) -> bool:
        return outer.kind == self.kind or type(outer).order == Order.ALLOW


def unauthorized(challenges: tuple[str, ...]) -> answer.Answer:
    """RFC 9110, 15.5.2: with one challenge at least."""
    fields: Any = [("WWW-Authenticate", challenge) for challenge in challenges]
    return answer.problem(401, headers=fields)
