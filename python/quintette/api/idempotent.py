"""Requests that may be sent again: idempotency keys."""

from __future__ import annotations

import re
from typing import ClassVar

from django.conf import settings

from quintette import _quintette
from quintette.api.asking import secret_key
from quintette.api.errors import HTTPError, RegistrationError
from quintette.api.guards import Guard, GuardedRoute, Order
from quintette.idempotency.stores import CacheStore, DatabaseStore, Store

DATABASE = "database"
SECONDS_MAX = 366 * 86_400

_UNSAFE = {"POST", "PUT", "PATCH", "DELETE"}
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_DUMMY = "django.core.cache.backends.dummy.DummyCache"

# In the order of binding/responses/idempotent_guard.c.
_REFUSALS = (
    (400, "The request needs the header {header}."),
    (400, "The header {header} holds one key of at most 255 printable characters."),
    (400, "Keys are for those who say who they are: send credentials with {header}."),
    (400, "The key in {header} is too short to be nobody else's: 16 characters at least."),
    (409, "The first request with this key is still being worked on."),
    (422, "This key was sent with another request."),
    (409, "The first request with this key was done; its response is not kept."),
)


class Idempotent(Guard):
    """A ``POST``, ``PUT``, ``PATCH`` or ``DELETE`` that is sent again under its key is answered
    with the response of the first time; the handler does not run again.

    For ``ttl`` seconds, in ``store``: an alias of ``CACHES``, or ``"database"``, which needs
    ``"quintette.idempotency"`` among the ``INSTALLED_APPS``. Keys belong to who sends them: a
    user, or verified credentials; those of nobody are refused unless ``anonymous`` is True. With
    ``required`` a request without a key is refused. ``lock_seconds`` is the time after which the
    first request is given up, should its process have died. Of responses larger than ``max_bytes``
    only that they were made is kept.
    """

    order: ClassVar[int] = Order.IDEMPOTENCY
    kind: ClassVar[str | None] = "idempotent"

    def __init__(
        self,
        ttl: int = 86_400,
        *,
        required: bool = False,
        store: str = "default",
        header: str = "Idempotency-Key",
        anonymous: bool = False,
        lock_seconds: int = 60,
        max_bytes: int = 1_048_576,
    ) -> None:
        if not 0 < ttl <= SECONDS_MAX or not 0 < lock_seconds <= SECONDS_MAX:
            raise RegistrationError("Idempotent: ttl and lock_seconds are seconds, at most a year")
        if max_bytes < 0:
            raise RegistrationError("Idempotent: max_bytes is negative")
        if not _TOKEN.fullmatch(header):
            raise RegistrationError(f"Idempotent: {header!r} is no header name")
        self._header = header
        self._required = required
        self._anonymous = anonymous
        self._max_bytes = max_bytes
        self._store = _store(store, ttl, lock_seconds)
        self._lock_seconds = lock_seconds

    def compile(self, route: GuardedRoute) -> _quintette.Guard | None:
        if not _UNSAFE & set(route.methods):
            return None
        if route.streams_body:
            raise RegistrationError(
                f"Idempotent: {route.path}: the handler takes the body while it comes, so that "
                "nobody can tell beforehand whether it is the same"
            )
        function = route.function
        return _quintette.IdempotentGuard(
            field=self._header.lower().encode(),
            scope=f"{function.__module__}.{function.__qualname__} {route.path}",
            secret=secret_key("idempotency"),
            body_max=self._max_bytes,
            required=self._required,
            of_anybody=self._anonymous,
            begin=self._store.abegin,
            finish=self._store.finish,
            afinish=self._store.afinish,
            refuse=self._refuse,
        )

    def _refuse(self, why: int) -> HTTPError:
        status, text = _REFUSALS[why]
        headers = {"Retry-After": "1"} if text is _REFUSALS[4][1] else None
        return HTTPError(status, text.format(header=self._header), headers=headers)


def _store(name: str, ttl: int, lock_seconds: int) -> Store:
    if name == DATABASE:
        if "quintette.idempotency" not in settings.INSTALLED_APPS:
            raise RegistrationError(
                'Idempotent: store="database" needs "quintette.idempotency" in INSTALLED_APPS'
            )
        return DatabaseStore(ttl, lock_seconds)
    if name not in settings.CACHES:
        raise RegistrationError(f"Idempotent: CACHES has no {name!r}")
    if settings.CACHES[name].get("BACKEND") == _DUMMY:
        raise RegistrationError(f"Idempotent: the cache {name!r} keeps nothing")
    return CacheStore(name, ttl, lock_seconds)
