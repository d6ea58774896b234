"""Whether a request with a safe method is being answered (RFC 9110, 9.2.1).

With ATOMIC_REQUESTS each view runs in a transaction. One that begins by taking the lock of writers
would make all requests wait for each other, those too that only read.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from django.core.signals import request_finished, request_started

SAFE_METHODS = frozenset(("GET", "HEAD", "OPTIONS", "TRACE"))

_reading: ContextVar[bool] = ContextVar("quintette.db.sqlite3.reading", default=False)


def is_reading() -> bool:
    return _reading.get()


def _started(
    environ: dict[str, Any] | None = None, scope: dict[str, Any] | None = None, **_kwargs: object
) -> None:
    method = (environ or {}).get("REQUEST_METHOD") or (scope or {}).get("method")
    _reading.set(method in SAFE_METHODS)


def _finished(**_kwargs: object) -> None:
    _reading.set(False)


def watch() -> None:
    """Connects what is_reading() needs, once; not without need, since signals cost something."""
    request_started.connect(_started, dispatch_uid=__name__)
    request_finished.connect(_finished, dispatch_uid=__name__)
