"""The user of a token, loaded when somebody looks."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from asgiref.sync import async_to_sync, sync_to_async
from django.core.exceptions import ValidationError

from quintette.auth.users import LazyUser, nobody

UserOf = Callable[[Any], Any]


def finder(user_of: UserOf | None) -> Callable[[Any], LazyUser]:
    """What makes a LazyUser of claims. ``user_of`` gives a user or None; it may be asynchronous."""
    if user_of is None:
        return lambda claims: LazyUser(partial(_load, claims), partial(_aload, claims))
    if inspect.iscoroutinefunction(user_of):
        waiting = async_to_sync(user_of)
        return lambda claims: LazyUser(
            lambda: _somebody(waiting(claims)), partial(_awaited, user_of, claims)
        )
    asked = sync_to_async(user_of)
    return lambda claims: LazyUser(
        lambda: _somebody(user_of(claims)), partial(_awaited, asked, claims)
    )


async def _awaited(user_of: UserOf, claims: Any) -> Any:
    return _somebody(await user_of(claims))


def _somebody(user: Any) -> Any:
    return nobody() if user is None else user


# --- the project's user model, by its primary key ---------------------------------------


def _load(claims: Any) -> Any:
    users = _users(claims)
    return _somebody(None if users is None else users.first())


async def _aload(claims: Any) -> Any:
    users = _users(claims)
    return _somebody(None if users is None else await users.afirst())


def _users(claims: Any) -> Any:
    """The active user whom the token is about, if there is one; None: there can be none."""
    from django.contrib.auth import get_user_model

    subject = claims.get("sub") if isinstance(claims, Mapping) else getattr(claims, "sub", None)
    model = get_user_model()
    try:
        key = None if subject is None else model._meta.pk.to_python(subject)
    except ValidationError:
        return None
    if key is None:
        return None
    users = model._default_manager.filter(pk=key)
    # Custom models need not have it as a column.
    has_column = any(field.name == "is_active" for field in model._meta.concrete_fields)
    return users.filter(is_active=True) if has_column else users
