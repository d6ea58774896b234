"""Mistakes that the stress test must notice, planted by STRESS_LEAK."""

from types import SimpleNamespace
from typing import Any
from weakref import WeakSet

from django.db import transaction
from django.utils import timezone
from django.utils.translation import trans_real

from ledger import middleware
from quintette.db.postgresql.base import DatabaseWrapper


def connection() -> None:
    """Whoever is outside of a transaction uses a connection that has another one's."""
    wrapper: Any = DatabaseWrapper
    create = wrapper.create_cursor
    wrappers: WeakSet[Any] = WeakSet()

    def create_cursor(self: Any, name: str | None = None) -> Any:
        wrappers.add(self)
        others = () if self.in_atomic_block else tuple(wrappers)
        busy = (other for other in others if other.in_atomic_block and other.connection)
        return create(next(busy, self), name)

    wrapper.create_cursor = create_cursor


class _Plain:
    """Of one process, in the place of a context variable or asgiref's Local."""

    def get(self) -> Any:
        return self.value

    def set(self, value: Any) -> None:
        self.value = value

    def reset(self, token: Any) -> None:
        pass


def context() -> None:
    middleware.marker = _Plain()  # type: ignore[assignment]


def language() -> None:
    trans_real._active = SimpleNamespace()  # type: ignore[attr-defined]


def zone() -> None:
    timezone._active = SimpleNamespace()  # type: ignore[attr-defined]


def atomicity() -> None:
    """Transactions that commit whatever happens."""
    atomic: Any = transaction.Atomic
    leave = atomic.__exit__

    def commit(self: Any, *_error: Any) -> None:
        leave(self, None, None, None)

    atomic.__exit__ = commit
