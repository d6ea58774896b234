"""Permissions on objects: asked by the handler, once it has the object."""

# ruff: noqa: N802

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from asgiref.sync import async_to_sync, sync_to_async
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from quintette.api.errors import HTTPError
from quintette.api.guards import GuardedRoute
from quintette.api.markers import Depends
from quintette.api.signature import in_loop, is_async, is_in_loop
from quintette.auth.users import loaded

if TYPE_CHECKING:
    from quintette.auth.permissions import Permission

T = TypeVar("T")

_ATTRIBUTE = "_quintette_checks"


class Check:
    """A route's permission, and whether an object of this request was looked at."""

    __slots__ = ("challenges", "done", "permission")

    def __init__(self, permission: Permission, challenges: tuple[str, ...] = ()) -> None:
        self.permission = permission
        self.challenges = challenges
        self.done = False


class Checks:
    """What a permission's guard needs of a route. The extension calls both methods."""

    def __init__(self, permission: Permission, route: GuardedRoute) -> None:
        self._permission = permission
        self._name = f"{route.name} ({route.path})"
        self._challenges = tuple(
            text
            for guard in route.guards
            if guard.kind == "auth" and hasattr(guard, "challenges")
            for text in guard.challenges()
        )

    def defer(self, request: HttpRequest) -> Check:
        check = Check(self._permission, self._challenges)
        request.__dict__.setdefault(_ATTRIBUTE, []).append(check)
        return check

    def unchecked(self, request: HttpRequest) -> NoReturn:
        raise RuntimeError(
            f"{self._name} has answered without check_object(request, obj), on which its "
            f"permission depends; the answer was held back"
        )


async def acheck_object(request: HttpRequest, obj: T) -> T:
    """Gives the object back, if the route's permissions allow it; else PermissionDenied (403), or
    401 for nobody. For asynchronous handlers."""
    checks = request.__dict__.get(_ATTRIBUTE)
    if not checks:
        raise RuntimeError("no permission of this route is about objects")
    for check in checks:
        await _check(check, request, obj)
        check.done = True
    return obj


def check_object(request: HttpRequest, obj: T) -> T:
    """The same for synchronous handlers."""
    checked: T = _wait_for(acheck_object, request, obj)
    return checked


def Allowed(permission: Any) -> Any:
    """``gate: Annotated[ObjectGate, Allowed(IsOwner("author"))]``: a permission on objects that a
    handler asks by itself, whatever the route's guards say."""
    from quintette.auth.permissions import Permission

    one = permission() if isinstance(permission, type) else permission
    if not isinstance(one, Permission):
        raise TypeError(f"{permission!r} is no permission")

    @in_loop
    def gate(request: HttpRequest) -> ObjectGate:
        return ObjectGate(one, request)

    return Depends(gate)


class ObjectGate:
    """What ``Allowed()`` gives a handler."""

    def __init__(self, permission: Permission, request: HttpRequest) -> None:
        self._check = Check(permission)
        self._request = request

    async def acheck(self, obj: T) -> T:
        """The object, or PermissionDenied; 401 for nobody."""
        await _check(self._check, self._request, obj)
        return obj

    def check(self, obj: T) -> T:
        """The same for synchronous handlers."""
        checked: T = _wait_for(self.acheck, obj)
        return checked


async def _check(check: Check, request: HttpRequest, obj: Any) -> None:
    if await check.permission.aholds(request, obj):
        return
    user = await loaded(request.user)
    if getattr(request, "auth", None) is None and not user.is_authenticated:
        headers = {"WWW-Authenticate": ", ".join(check.challenges)} if check.challenges else None
        raise HTTPError(401, headers=headers)
    raise PermissionDenied


async def answered(function: Callable[..., Any], *arguments: Any) -> bool:
    """What a method of a permission says; a plain one that may block is called in a thread."""
    if is_async(function) or is_in_loop(function):
        said = function(*arguments)
    else:
        said = await sync_to_async(function)(*arguments)
    if inspect.isawaitable(said):
        said = await said
    if said is not True and said is not False:
        raise TypeError(f"what a permission says must be True or False, not {said!r}")
    return said


def _wait_for(function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return async_to_sync(function)(*arguments)
    raise RuntimeError("on the event loop, await acheck_object() or gate.acheck()")
