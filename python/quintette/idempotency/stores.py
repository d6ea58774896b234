"""Records of requests, in one of Django's caches or in the database."""

from __future__ import annotations

import logging
import secrets
from abc import ABC, abstractmethod
from datetime import timedelta
from typing import Any, Final

from asgiref.sync import sync_to_async
from django.core.cache import caches
from django.db import IntegrityError, connections, router, transaction
from django.utils import timezone

# What begin() says; shared with binding/responses/idempotent_guard.c.
BEGUN: Final = 0  # with a token: the request is the first
DONE: Final = 1  # with the parts of the response
BUSY: Final = 2
OTHER: Final = 3  # the key was sent with another request
UNKEPT: Final = 4  # done, and its response is not kept

Said = tuple[int, Any]

PURGE_AT_ONCE = 1000

logger = logging.getLogger("quintette.idempotency")


class Store(ABC):
    """``name`` and ``fingerprint`` are 16 bytes each. ``kept`` is the parts of a response, True
    where only that it was made is to be known, or None: the request may be tried again."""

    def __init__(self, ttl: int, lock_seconds: int) -> None:
        self.ttl = ttl
        self.lock_seconds = lock_seconds
        self.abegin: Any = sync_to_async(self.begin, thread_sensitive=True)
        self.afinish: Any = sync_to_async(self.finish, thread_sensitive=True)

    @abstractmethod
    def begin(self, name: bytes, fingerprint: bytes) -> Said:
        """Of those who begin at the same time, one is told BEGUN."""

    def finish(self, name: bytes, fingerprint: bytes, token: str, kept: Any) -> None:
        """The work is done, and its response must go out whatever becomes of the record."""
        try:
            self._finish(name, fingerprint, token, kept)
        except Exception:
            logger.exception("The response to a request with an idempotency key was not kept")

    @abstractmethod
    def _finish(self, name: bytes, fingerprint: bytes, token: str, kept: Any) -> None: ...


class CacheStore(Store):
    """In one of ``CACHES``, which all processes must share."""

    def __init__(self, alias: str, ttl: int, lock_seconds: int) -> None:
        super().__init__(ttl, lock_seconds)
        self.alias = alias

    def begin(self, name: bytes, fingerprint: bytes) -> Said:
        cache, key = caches[self.alias], _key(name)
        found = cache.get(key)
        if found is None:
            token = secrets.token_hex(8)
            if cache.add(key, (fingerprint, token, None), timeout=self.lock_seconds):
                return BEGUN, token
            found = cache.get(key)
            if found is None:  # gone within this moment
                return BUSY, None
        known, _, kept = found
        return _judge(known == fingerprint, kept)

    def _finish(self, name: bytes, fingerprint: bytes, token: str, kept: Any) -> None:
        cache, key = caches[self.alias], _key(name)
        found = cache.get(key)
        if found is not None and found[1] != token:
            return  # past lock_seconds, and somebody else is at it
        if kept is None:
            cache.delete(key)
        else:
            cache.set(key, (fingerprint, token, kept), timeout=self.ttl)


class DatabaseStore(Store):
    """In the table of ``quintette.idempotency``."""

    def begin(self, name: bytes, fingerprint: bytes) -> Said:
        from quintette.idempotency.models import Record

        token = secrets.token_hex(8)
        now = timezone.now()
        values = {
            "fingerprint": fingerprint.hex(),
            "token": token,
            "status": None,
            "lines": b"",
            "body": None,
            "expires": now + timedelta(seconds=self.lock_seconds),
        }
        try:
            with transaction.atomic():
                Record.objects.create(name=name.hex(), **values)
            return BEGUN, token
        except IntegrityError:
            pass
        found = Record.objects.filter(name=name.hex()).first()
        if found is None:
            return BUSY, None
        if found.expires <= now:
            # Of those who find it expired, one takes it over.
            old = Record.objects.filter(name=found.name, token=found.token)
            return (BEGUN, token) if old.update(**values) else (BUSY, None)
        kept: Any = None
        if found.status is not None:
            body = None if found.body is None else bytes(found.body)
            kept = (found.status, bytes(found.lines), body) if found.status else True
        return _judge(found.fingerprint == fingerprint.hex(), kept)

    def _finish(self, name: bytes, fingerprint: bytes, token: str, kept: Any) -> None:
        from quintette.idempotency.models import Record

        if connections[router.db_for_write(Record)].needs_rollback:
            return  # ATOMIC_REQUESTS: the record goes with all that the handler did
        mine = Record.objects.filter(name=name.hex(), token=token)
        if kept is None:
            mine.delete()
            return
        status, lines, body = (0, b"", None) if kept is True else kept
        expires = timezone.now() + timedelta(seconds=self.ttl)
        mine.update(status=status, lines=lines, body=body, expires=expires)


def _key(name: bytes) -> str:
    return f"quintette.idempotency.{name.hex()}"


def _judge(is_same: bool, kept: Any) -> Said:
    if not is_same:
        return OTHER, None
    if kept is None:
        return BUSY, None
    return (UNKEPT, None) if kept is True else (DONE, kept)


def purge() -> int:
    """Deletes records that have expired, some at a time; returns how many."""
    from quintette.idempotency.models import Record

    count = 0
    expired = Record.objects.filter(expires__lte=timezone.now()).values_list("name", flat=True)
    while names := list(expired[:PURGE_AT_ONCE]):
        count += Record.objects.filter(name__in=names, expires__lte=timezone.now()).delete()[0]
    return count
