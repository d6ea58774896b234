"""Who may: conditions that are composed with ``&``, ``|`` and ``~``.

    api = API(guards=[SessionAuth(), IsAuthenticated & (HasPerm("atlas.add_city") | ReadOnly)])

Conditions of several levels add up: that of a route cannot loosen that of its API. They are
evaluated from left to right, and no further than needed. What depends on an object says so in
``allows_object()``, which ``check_object(request, obj)`` in the handler asks.
"""

from __future__ import annotations

from collections.abc import Awaitable
from functools import partial
from typing import Any, ClassVar

from asgiref.sync import sync_to_async
from django.http import HttpRequest

from quintette import _quintette
from quintette.api.errors import RegistrationError
from quintette.api.guards import CACHE_KIND, Guard, GuardedRoute, Order
from quintette.auth import compiling, objects
from quintette.auth.calling import callable_in_loop
from quintette.auth.compiling import Tests
from quintette.auth.users import loaded


class _Composed(type):
    """Lets classes that need no arguments stand for their instances: ``IsStaff | ReadOnly``."""

    def __and__(cls, other: Any) -> Permission:
        return Both(_instance(cls), _permission(other))

    def __rand__(cls, other: Any) -> Permission:
        return Both(_permission(other), _instance(cls))

    def __or__(cls, other: Any) -> Any:
        # `Permission | None` in an annotation stays what it is.
        return _instance(cls) | other if _is_permission(other) else type.__or__(cls, other)

    def __ror__(cls, other: Any) -> Any:
        return other | _instance(cls) if _is_permission(other) else type.__ror__(cls, other)

    def __invert__(cls) -> Permission:
        return Negated(_instance(cls))

    def __bool__(cls) -> bool:
        raise _no_truth(cls)


class Permission(Guard, metaclass=_Composed):
    """Base of conditions, to be derived from. Each method gives True or False and may be
    ``async def``; a ``def`` is called in a thread unless it is marked ``@in_loop``. One that
    raises, or gives anything else, is answered with 500."""

    order: ClassVar[int] = Order.ALLOW

    def allows(self, request: HttpRequest) -> bool | Awaitable[bool]:
        """Whether the request is allowed, before the handler is called."""
        return True

    def allows_object(self, request: HttpRequest, obj: Any) -> bool | Awaitable[bool]:
        """Whether it is for this object. Asked where ``allows()`` holds, too."""
        return True

    def __and__(self, other: Any) -> Permission:
        return Both(self, _permission(other))

    def __rand__(self, other: Any) -> Permission:
        return Both(_permission(other), self)

    def __or__(self, other: Any) -> Permission:
        return Either(self, _permission(other))

    def __ror__(self, other: Any) -> Permission:
        return Either(_permission(other), self)

    def __invert__(self) -> Permission:
        return Negated(self)

    def __bool__(self) -> bool:
        raise _no_truth(self)

    def compile(self, route: GuardedRoute) -> _quintette.Guard | None:
        if _needs_class(self):
            raise RegistrationError(f"{self!r} says neither allows() nor allows_object()")
        if self.is_about_objects and any(guard.kind == CACHE_KIND for guard in route.guards):
            raise RegistrationError(
                f"{self!r} depends on an object: answers that are Cached ask nobody"
            )
        checks = objects.Checks(self, route)
        return compiling.guard_of(self, route, checks.defer, checks.unchecked)

    # --- for compiling.py and objects.py

    def emit(self, tests: Tests, on_true: int, on_false: int, *, negated: bool) -> int:
        """Adds the tests of this condition; gives the number of the first, or where it leads."""
        if negated and self.is_about_objects:
            # Some object may well not be allowed: which, is seen when there is one.
            return tests.add(compiling.PASS, on_true, on_true, deferred=True)
        if negated:
            on_true, on_false = on_false, on_true
        return self.emit_test(tests, on_true, on_false)

    def emit_test(self, tests: Tests, on_true: int, on_false: int) -> int:
        deferred = self.is_about_objects
        return tests.add(
            compiling.ASK, on_true, on_false, callable_in_loop(self.allows), deferred=deferred
        )

    @property
    def is_about_objects(self) -> bool:
        return type(self).allows_object is not Permission.allows_object

    async def aholds(self, request: HttpRequest, obj: Any) -> bool:
        if not await objects.answered(self.allows, request):
            return False
        return not self.is_about_objects or await objects.answered(self.allows_object, request, obj)


def _needs_class(permission: Permission) -> bool:
    cls = type(permission)
    return (
        cls.allows is Permission.allows
        and cls.allows_object is Permission.allows_object
        and cls.emit_test is Permission.emit_test
        and cls.emit is Permission.emit
    )


def _no_truth(permission: object) -> RegistrationError:
    """`A and B` would be B alone, and `not A` no guard at all."""
    return RegistrationError(
        f"{permission!r} is neither true nor false: compose permissions with &, | and ~, "
        "not with `and`, `or` and `not`"
    )


def _is_permission(other: Any) -> bool:
    return isinstance(other, (Permission, _Composed))


def _call(permission: Permission, names: tuple[str, ...]) -> str:
    return f"{type(permission).__name__}({', '.join(map(repr, names))})"


def _instance(cls: Any) -> Permission:
    made: Permission = cls()
    return made


def _permission(other: Any) -> Permission:
    if isinstance(other, _Composed):
        return _instance(other)
    if isinstance(other, Permission):
        return other
    raise RegistrationError(f"{other!r} is no permission")


# --- composition ------------------------------------------------------------------------


class Both(Permission):
    """``left & right``"""

    sign: ClassVar[str] = "&"

    def __init__(self, left: Permission, right: Permission) -> None:
        self.left, self.right = left, right

    def __repr__(self) -> str:
        return f"{_operand(self.left, self)} {self.sign} {_operand(self.right, self)}"

    def emit(self, tests: Tests, on_true: int, on_false: int, *, negated: bool) -> int:
        emit = _emit_either if negated else _emit_both
        return emit(self, tests, on_true, on_false, negated)

    @property
    def is_about_objects(self) -> bool:
        return self.left.is_about_objects or self.right.is_about_objects

    async def aholds(self, request: HttpRequest, obj: Any) -> bool:
        return await self.left.aholds(request, obj) and await self.right.aholds(request, obj)


class Either(Both):
    """``left | right``"""

    sign: ClassVar[str] = "|"

    def emit(self, tests: Tests, on_true: int, on_false: int, *, negated: bool) -> int:
        emit = _emit_both if negated else _emit_either
        return emit(self, tests, on_true, on_false, negated)

    async def aholds(self, request: HttpRequest, obj: Any) -> bool:
        return await self.left.aholds(request, obj) or await self.right.aholds(request, obj)


def _operand(inner: Permission, outer: Permission) -> str:
    """In brackets where it is composed in another way."""
    is_plain = not isinstance(inner, Both) or type(inner) is type(outer)
    return repr(inner) if is_plain else f"({inner!r})"


def _emit_both(pair: Both, tests: Tests, on_true: int, on_false: int, negated: bool) -> int:
    behind = pair.right.emit(tests, on_true, on_false, negated=negated)
    return pair.left.emit(tests, behind, on_false, negated=negated)


def _emit_either(pair: Both, tests: Tests, on_true: int, on_false: int, negated: bool) -> int:
    behind = pair.right.emit(tests, on_true, on_false, negated=negated)
    return pair.left.emit(tests, on_true, behind, negated=negated)


class Negated(Permission):
    """``~inner``"""

    def __init__(self, inner: Permission) -> None:
        self.inner = inner

    def __repr__(self) -> str:
        return f"~{_operand(self.inner, self)}"

    def emit(self, tests: Tests, on_true: int, on_false: int, *, negated: bool) -> int:
        return self.inner.emit(tests, on_true, on_false, negated=not negated)

    @property
    def is_about_objects(self) -> bool:
        return self.inner.is_about_objects

    async def aholds(self, request: HttpRequest, obj: Any) -> bool:
        return not await self.inner.aholds(request, obj)


# --- what the extension knows by itself ---------------------------------------------------


class AllowAny(Permission):
    """Everybody."""

    def emit(self, tests: Tests, on_true: int, on_false: int, *, negated: bool) -> int:
        return on_false if negated else on_true


class IsAuthenticated(Permission):
    """Somebody: a verified token or key, whose user is not loaded, or a session's user."""

    def emit_test(self, tests: Tests, on_true: int, on_false: int) -> int:
        return tests.add(compiling.SOMEBODY, on_true, on_false)

    async def allows(self, request: HttpRequest) -> bool:
        return getattr(request, "auth", None) is not None or await _is_somebody(request)


class ReadOnly(Permission):
    """GET, HEAD, OPTIONS, TRACE and QUERY (RFC 9110, 9.2.1)."""

    METHODS: ClassVar[frozenset[str]] = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "QUERY"})

    def emit_test(self, tests: Tests, on_true: int, on_false: int) -> int:
        return tests.add(compiling.SAFE, on_true, on_false)

    async def allows(self, request: HttpRequest) -> bool:
        return request.method in self.METHODS


class HasScope(Permission):
    """The token or key was granted all of these scopes. A session has none."""

    def __init__(self, *scopes: str) -> None:
        if not scopes or any(not scope or scope != "".join(scope.split()) for scope in scopes):
            raise RegistrationError("HasScope() needs scopes, which are texts without spaces")
        self.scopes = scopes

    def __repr__(self) -> str:
        return _call(self, self.scopes)

    def emit_test(self, tests: Tests, on_true: int, on_false: int) -> int:
        return tests.add(compiling.SCOPES, on_true, on_false, self.scopes)

    async def allows(self, request: HttpRequest) -> bool:
        auth = getattr(request, "auth", None)
        return auth is not None and set(self.scopes) <= set(compiling.scopes_of(auth))


# --- what the user knows ------------------------------------------------------------------


async def _user_of(request: HttpRequest) -> Any:
    """An active user, or None."""
    user = await loaded(request.user)
    return user if user.is_authenticated and user.is_active else None


async def _is_somebody(request: HttpRequest) -> bool:
    user = await loaded(request.user)
    return bool(user.is_authenticated)


class IsStaff(Permission):
    """``user.is_staff``"""

    async def allows(self, request: HttpRequest) -> bool:
        user = await _user_of(request)
        return user is not None and bool(user.is_staff)


class IsSuperuser(Permission):
    """``user.is_superuser``"""

    async def allows(self, request: HttpRequest) -> bool:
        user = await _user_of(request)
        return user is not None and bool(user.is_superuser)


class HasPerm(Permission):
    """``user.has_perm()`` for each of these, which asks Django's AUTHENTICATION_BACKENDS."""

    def __init__(self, *permissions: str) -> None:
        if not permissions or any("." not in name.strip(".") for name in permissions):
            raise RegistrationError('HasPerm() needs names such as "app.codename"')
        self.permissions = permissions

    def __repr__(self) -> str:
        return _call(self, self.permissions)

    async def allows(self, request: HttpRequest) -> bool:
        user = await loaded(request.user)
        for name in self.permissions:
            if not await _has_perm(user, name):
                return False
        return True


async def _has_perm(user: Any, name: str) -> bool:
    ahas_perm = getattr(user, "ahas_perm", None)
    if ahas_perm is not None:  # of Django's PermissionsMixin
        return bool(await ahas_perm(name))
    return bool(await sync_to_async(user.has_perm)(name))


class InGroup(Permission):
    """The user is in one of these groups, by name."""

    def __init__(self, *names: str) -> None:
        if not names:
            raise RegistrationError("InGroup() needs the name of a group")
        self.names = names

    def __repr__(self) -> str:
        return _call(self, self.names)

    async def allows(self, request: HttpRequest) -> bool:
        user = await _user_of(request)
        if user is None:
            return False
        return bool(await user.groups.filter(name__in=self.names).aexists())


class IsOwner(Permission):
    """The object's field holds the user. Before there is an object: somebody."""

    def __init__(self, field: str = "owner") -> None:
        self.field = field
        self._key = f"{field}_id"

    def __repr__(self) -> str:
        return _call(self, (self.field,))

    async def allows(self, request: HttpRequest) -> bool:
        return await _user_of(request) is not None

    async def allows_object(self, request: HttpRequest, obj: Any) -> bool:
        user = await _user_of(request)
        # The key, so that a foreign key's object is not read.
        owner = getattr(obj, self._key, None)
        if owner is None:
            owner = getattr(await sync_to_async(partial(getattr, obj, self.field))(), "pk", None)
        return user is not None and owner is not None and owner == user.pk
