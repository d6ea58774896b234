"""What stands between a typed route and its handler, as projects declare it.

    api = API(guards=[JWT(), IsAuthenticated, Throttle("100/m")])

Guards are sorted by ``order``, outermost first; those of equal order keep the order in which they
were given. A guard of a router or route takes the place of an outer one of the same ``kind``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, ClassVar

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from quintette import _quintette
from quintette.api import answer
from quintette.api.errors import RegistrationError
from quintette.api.signature import place_of

GUARDS_MAX = 32
# The kind of those that say who asks: one for each route.
AUTH_KIND = "auth"
# Of what gives kept responses again.
CACHE_KIND = "cache"


class Order(IntEnum):
    """Where a guard stands; outermost first."""

    OBSERVE = 100
    CORS = 200
    HEADERS = 300
    COMPRESS = 400
    CONDITIONAL = 500
    ADDRESS = 600
    STACK = 650
    AUTH = 700
    CSRF = 750
    ALLOW = 800
    THROTTLE = 850
    IDEMPOTENCY = 900
    CACHE = 950


@dataclass(frozen=True)
class GuardedRoute:
    """What a guard may want to know of the route that it stands before."""

    function: Callable[..., Any]
    methods: tuple[str, ...]
    path: str
    """In Django's spelling, without the prefix under which the API is mounted."""
    name: str
    takes_request: bool
    guards: tuple[Guard, ...] = ()
    """All that stand before it, in the order of their declaration."""
    takes_user: bool = False
    """It has a parameter that says who asks."""
    streams_body: bool = False
    """It takes the body while it comes: none is there before the handler."""


class Guard:
    """Base of what ``guards=[...]`` takes. Instances are declarations: ``compile()`` is called once
    per route (and plan), so what routes share, tables and caches, belongs to the instance."""

    order: ClassVar[int] = Order.ALLOW
    kind: ClassVar[str | None] = None

    def __repr__(self) -> str:
        """As lists of routes show it."""
        return type(self).__name__

    def compile(self, route: GuardedRoute) -> _quintette.Guard | None:
        """A new guard for this route, or None where there is nothing to do."""
        raise NotImplementedError

    def lifts(self, outer: Guard) -> bool:
        """Whether it takes the place of a guard of an outer level."""
        return self.kind is not None and self.kind == outer.kind


class Hook(Guard):
    """Functions of the project's, in Python.

    ``before(request)`` returns None, or what is to be answered in the handler's place (a Django
    response, or what ``finish`` makes an answer of); it may be asynchronous. ``after(request,
    status, fields)`` may change the list of ``(name, value)`` header fields of every reply.
    """

    def __init__(
        self,
        before: Callable[[HttpRequest], Any] | None = None,
        after: Callable[[HttpRequest, int, list[tuple[str, str]]], None] | None = None,
    ) -> None:
        self._before = before
        self._after = after

    def compile(self, route: GuardedRoute) -> _quintette.Guard:
        before = None if self._before is None else _answering(self._before)
        return _quintette.PythonGuard(before=before, after=self._after)


def _answering(function: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    def before(request: HttpRequest) -> Any:
        made = function(request)
        return _awaited(made) if inspect.isawaitable(made) else _answer(made)

    return before


async def _awaited(made: Any) -> answer.Answer | None:
    return _answer(await made)


def _answer(made: Any) -> answer.Answer | None:
    if made is None or isinstance(made, tuple):
        return made
    if isinstance(made, HttpResponseBase):
        return answer.DJANGO, made
    maker = getattr(made, "answer", None)
    if maker is None:
        raise TypeError(f"a guard answers with None or a response, not {made!r}")
    return maker()  # type: ignore[no-any-return]


def checked(guards: Iterable[Any]) -> tuple[Guard, ...]:
    """What a decorator or router was given. Classes without arguments count as their instances."""
    given: Any = guards  # whatever the annotation says
    if not isinstance(given, Iterable) or isinstance(given, str):
        raise RegistrationError(f"guards={given!r}: a list of guards is needed")
    made = tuple(_instance_of(item) for item in given)
    ways = [guard for guard in made if guard.kind == AUTH_KIND]
    if len(ways) > 1:
        names = ", ".join(type(way).__name__ for way in ways)
        raise RegistrationError(
            f"guards of one level have one way to say who asks, not {names}: "
            "AnyOf(...) takes several"
        )
    return made


def _instance_of(item: Any) -> Guard:
    if not (isinstance(item, type) and issubclass(item, Guard)):
        if not isinstance(item, Guard):
            raise RegistrationError(f"{item!r} is no guard")
        return item
    try:
        inspect.signature(item).bind()
    except TypeError as error:
        raise RegistrationError(f"{item.__name__} stands for {item.__name__}(): {error}") from None
    return item()


def combined(outer: Sequence[Guard], inner: Sequence[Guard]) -> tuple[Guard, ...]:
    kept = (guard for guard in outer if not any(one.lifts(guard) for one in inner))
    return (*kept, *inner)


def compiled(guards: Sequence[Guard], route: GuardedRoute) -> tuple[_quintette.Guard, ...]:
    """Of the route's plan, outermost first. Errors say where the handler stands."""
    try:
        return _compiled(guards, route)
    except RegistrationError as error:
        raise RegistrationError(f"{place_of(route.function)}: {error}") from error


def _compiled(guards: Sequence[Guard], route: GuardedRoute) -> tuple[_quintette.Guard, ...]:
    made = [guard.compile(route) for guard in sorted(guards, key=lambda guard: int(guard.order))]
    kept = tuple(guard for guard in made if guard is not None)
    if len(kept) > GUARDS_MAX:
        raise RegistrationError(f"a handler has {GUARDS_MAX} guards at most")
    return kept
