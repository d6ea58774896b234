"""The user of a request, loaded when somebody looks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject, empty


class LazyUser(SimpleLazyObject):  # type: ignore[type-arg]
    """``request.user`` before anybody has looked. Touching an attribute calls ``load``, which waits
    for the database; ``await request.auser()`` calls ``aload``. Both give a user, never None."""

    def __init__(self, load: Callable[[], Any], aload: Callable[[], Awaitable[Any]]) -> None:
        super().__init__(load)
        self.__dict__["_aload"] = aload


def load(user: Any) -> Any:
    """The user behind a LazyUser, or a coroutine that gives it. Called by the extension."""
    state = user.__dict__
    wrapped = state["_wrapped"]
    return _load(state) if wrapped is empty else wrapped


async def _load(state: dict[str, Any]) -> Any:
    user = await state["_aload"]()
    state["_wrapped"] = user
    return user


async def loaded(user: Any) -> Any:
    """The same of any user."""
    if type(user) is not LazyUser:
        return user
    wrapped = user.__dict__["_wrapped"]
    return await _load(user.__dict__) if wrapped is empty else wrapped


async def auser(request: HttpRequest) -> Any:
    """``await request.auser()``: the user, or AnonymousUser."""
    return await loaded(request.user)


def nobody() -> Any:
    # Models, which are there once the apps are loaded.
    from django.contrib.auth.models import AnonymousUser

    return AnonymousUser()


def attach(request: Any) -> None:
    """Gives another host's request what our own class has."""
    request.auser = partial(auser, request)
