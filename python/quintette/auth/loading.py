"""The user of a session, loaded by ``await``: what Django's ``auth.aget_user()`` does, sooner.

Where session and user are Django's own and nothing is unusual, the session comes without a thread
and the user by a compiled query. Whatever else there is, an invalid session above all, is left to
Django.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import auth
from django.contrib.auth.backends import ModelBackend
from django.core.exceptions import ObjectDoesNotExist
from django.core.signals import setting_changed
from django.db import DEFAULT_DB_ALIAS, models
from django.db.models.manager import BaseManager
from django.utils.crypto import constant_time_compare

from quintette.concurrency import run
from quintette.concurrency.engines import waits, waits_for_session
from quintette.db.compiled import CompiledQuery, compiled
from quintette.server.own import own_method

_KEY_TYPES: tuple[tuple[type[models.Field[Any, Any]], type], ...] = (
    (models.IntegerField, int),
    (models.CharField, str),
    (models.UUIDField, UUID),
)


async def auser(request: Any) -> Any:
    """``django.contrib.auth.middleware.auser``."""
    if not hasattr(request, "_acached_user"):
        request._acached_user = await aget_user(request)
    return request._acached_user


async def aget_user(request: Any) -> Any:
    user = await _usual_user(request) if waits(DEFAULT_DB_ALIAS) else None
    return await auth.aget_user(request) if user is None else user


async def _usual_user(request: Any) -> Any:
    """A user whose session is in order; None where Django is to look."""
    session = request.session
    if not await _is_loaded(session):
        return None
    backend = _usual_backend(session.get(auth.BACKEND_SESSION_KEY))
    expected = session.get(auth.HASH_SESSION_KEY)
    query = backend and _query_by_key(auth.get_user_model())
    if not query or not expected or auth.SESSION_KEY not in session:
        return None
    try:
        user = await query(auth._get_user_session_key(request))  # type: ignore[attr-defined]
    except ObjectDoesNotExist:
        return None
    if not backend.user_can_authenticate(user):
        return None
    return user if constant_time_compare(expected, user.get_session_auth_hash()) else None


# --- the session ------------------------------------------------------------------------


async def _is_loaded(session: Any) -> bool:
    """Loads it, unless Django is to."""
    if not hasattr(session, "_session_cache"):
        if session.session_key is None or not waits_for_session(session):
            return False
        await run(session._get_session)
    return True


# --- the user ---------------------------------------------------------------------------


def _usual_backend(path: Any) -> Any:
    """An instance of the back end that the session names, if its users are ModelBackend's."""
    if path not in settings.AUTHENTICATION_BACKENDS:
        return None
    backend = auth.load_backend(path)
    kind: Any = type(backend)
    is_usual = (
        getattr(kind, "get_user", None) is ModelBackend.get_user
        and getattr(kind, "aget_user", None) is ModelBackend.aget_user
        and own_method(ModelBackend, "get_user") is not None
    )
    return backend if is_usual else None


@lru_cache(maxsize=1)
def _query_by_key(model: type[models.Model]) -> CompiledQuery[Any, Any] | None:
    """``model._default_manager.get(pk=key)``; None where the rows or the database may be others
    from request to request, or where a session's hash is not checked."""
    manager = model._default_manager
    key = model._meta.pk
    kind = next((kind for field, kind in _KEY_TYPES if isinstance(key, field)), None)
    if (
        kind is None
        or not hasattr(model, "get_session_auth_hash")
        or settings.DATABASE_ROUTERS
        or type(manager).get_queryset is not BaseManager.get_queryset
        or own_method(BaseManager, "get_queryset") is None
    ):
        return None

    def user_by_key(key: Any) -> Any:
        return manager.get(pk=key)

    user_by_key.__annotations__ = {"key": kind, "return": Any}
    return compiled(user_by_key)


def _forget(*, setting: str, **_: Any) -> None:
    if setting in ("AUTH_USER_MODEL", "DATABASES", "DATABASE_ROUTERS"):
        _query_by_key.cache_clear()


setting_changed.connect(_forget)
