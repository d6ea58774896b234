"""``ENGINE = "quintette.db.postgresql"``."""

from __future__ import annotations

import asyncio
import sys
import weakref
from typing import Any

import psycopg
from django.conf import settings
from django.db import Error, OperationalError
from django.db.backends.base.base import NO_DB_ALIAS, BaseDatabaseWrapper
from django.db.backends.postgresql import base as django_base
from django.db.backends.postgresql.psycopg_any import IsolationLevel, register_tzloader
from django.db.backends.signals import connection_created
from django.utils.functional import cached_property
from psycopg import pq, sql

from quintette.concurrency import can_wait
from quintette.db import atomic, scope
from quintette.db.compiled import pools as compiled_pools
from quintette.db.pool import Kept, Pool, close_alias, parse_options, pools_here
from quintette.db.postgresql import cursors
from quintette.db.postgresql.connection import Connection, PooledConnection
from quintette.db.postgresql.operations import DatabaseOperations
from quintette.db.postgresql.source import Session, Sessions, still_there
from quintette.db.turns import TurnLock, Turns

IDLE = pq.TransactionStatus.IDLE
BAD = pq.ConnStatus.BAD
# Django's names of psycopg's cursor classes, and ours in their place.
_CURSORS = {
    django_base.Cursor: cursors.Cursor,
    django_base.ServerBindingCursor: cursors.ServerBindingCursor,
}


class CommitOutcomeUnknownError(OperationalError):
    """The connection was lost during COMMIT: the transaction may be in the database or not.
    Nothing repeats it."""


class _Driver:
    """psycopg for Django, with our connection."""

    def __getattr__(self, name: str) -> Any:
        return getattr(psycopg, name)

    @staticmethod
    def connect(**params: Any) -> Any:
        borrow = params.pop("borrow", None)
        return Connection.connect(**params) if borrow is None else borrow(params)


class _Holder:
    """Refers to a connection as an idle wrapper and its session do, and nobody else."""

    def __init__(self) -> None:
        self.connection = object()
        self.session = [self.connection]

    def references(self) -> int:
        return sys.getrefcount(self.connection)


# Of a pooled connection that no cursor and no variable refers to.
_UNUSED = _Holder().references()
# Its stubs leave out what engines are made of.
_Django: Any = django_base.DatabaseWrapper
# Methods that Django guards; `__wrapped__` is the method itself.
_CLOSE: Any = BaseDatabaseWrapper.close
_CREATE_CURSOR: Any = _Django.create_cursor
_GET_NEW_CONNECTION: Any = _Django.get_new_connection


class DatabaseWrapper(_Django):  # type: ignore[misc]
    Database: Any = _Driver()
    waits_in_greenlets = True  # see quintette.concurrency.engines
    per_scope = True  # see quintette.db.scope
    ops_class = DatabaseOperations
    connection: Any
    run_on_commit: list[Any]
    savepoint_ids: list[Any]
    atomic_blocks: list[Any]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.turns = Turns(self)
        self.is_shared = False
        self._pooled: tuple[Pool[Session], Kept[Session]] | None = None
        self._borrower: weakref.ref[asyncio.Task[Any]] | None = None

    @property
    def reads_directly(self) -> bool:
        """See quintette.db.postgresql.reading. By the settings, and nothing is a subclass's."""
        options = self.settings_dict["OPTIONS"]
        return (
            type(self) is DatabaseWrapper
            and "cursor_factory" not in options
            and not options.get("server_side_binding")
        )

    # --- connecting -------------------------------------------------------------------------------

    def get_connection_params(self) -> dict[str, Any]:
        params: dict[str, Any] = super().get_connection_params()
        params.pop("loop_pool", None)
        params.pop("compiled_pool", None)
        factory = params["cursor_factory"]
        params["cursor_factory"] = _CURSORS.get(factory, factory)
        return params

    def check_options(self) -> None:
        """ImproperlyConfigured names the key that is wrong."""
        options = self.settings_dict["OPTIONS"]
        parse_options(self.alias, options.get("loop_pool", {}))
        compiled_pools.parse_options(self.alias, options.get("compiled_pool", {}))

    @property
    def pool(self) -> Any:
        """Django's, of `OPTIONS["pool"]`: for threads. On a loop there is ours."""
        return None if self._pooled or can_wait() else super().pool

    def close_pool(self) -> None:
        super().close_pool()
        close_alias(self.alias)

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        if not can_wait():
            return super().get_new_connection(conn_params)
        if self.alias == NO_DB_ALIAS:
            return _GET_NEW_CONNECTION.__wrapped__(self, conn_params)
        try:
            return _GET_NEW_CONNECTION.__wrapped__(self, {**conn_params, "borrow": self._borrow})
        except BaseException:
            self._give_back()
            raise

    def connect(self) -> None:
        if not self.connects_quickly():
            super().connect()
            return
        # What BaseDatabaseWrapper.connect() does, but for what a pooled session has already.
        chosen = self.settings_dict
        self.check_settings()
        self.in_atomic_block = False
        self.savepoint_ids = []
        self.atomic_blocks = []
        self.needs_rollback = False
        self.health_check_enabled = chosen["CONN_HEALTH_CHECKS"]
        self.close_at = None
        self.closed_in_transaction = False
        self.errors_occurred = False
        self.health_check_done = True
        self.isolation_level = IsolationLevel.READ_COMMITTED
        try:
            self.connection = self._borrow(None)
            self.connection._autocommit = self.autocommit = True
            self.init_connection_state()
        except BaseException:
            self._give_back()
            self.connection = None
            raise
        connection_created.send(sender=self.__class__, connection=self)
        self.run_on_commit = []

    def connects_quickly(self) -> bool:
        """On a loop, with nothing special, neither by settings nor by a subclass."""
        chosen = self.settings_dict
        return (
            type(self) is DatabaseWrapper
            and can_wait()
            and chosen["AUTOCOMMIT"]
            and "isolation_level" not in chosen["OPTIONS"]
            and self.alias != NO_DB_ALIAS
        )

    def _borrow(self, params: dict[str, Any] | None) -> PooledConnection:
        pool = self.pool_here(params)
        kept = pool.borrow(self)
        self._pooled = pool, kept
        task = asyncio.current_task()
        self._borrower = None if task is None else weakref.ref(task)
        return kept.item.lend(pool, kept)

    def pool_here(self, params: dict[str, Any] | None = None) -> Pool[Session]:
        """The running loop's, for the database that the settings name now: tests change them."""
        chosen = self.settings_dict
        key = (
            *(chosen[name] for name in ("NAME", "USER", "PASSWORD", "HOST", "PORT")),
            self.timezone_name,
            settings.USE_TZ,
        )
        pools = pools_here()
        pool = pools.get(self.alias)
        if pool is None or pool.source.key != key:  # type: ignore[attr-defined]
            if pool is not None:
                pool.close()
            options = parse_options(self.alias, chosen["OPTIONS"].get("loop_pool", {}))
            if params is None:
                params = self.get_connection_params()
            source = Sessions(params, options.reset, self._restoring(), key)
            pool = pools[self.alias] = Pool(source, options, self.alias)
        return pool

    def _restoring(self) -> bytes:
        """Statements that set what _configure_connection() does, for a session that was reset."""
        parts = []
        if self.timezone_name:
            name = sql.Literal(self.timezone_name)
            parts.append(sql.SQL(";SELECT set_config('TimeZone', {}, false)").format(name))
        role = self.settings_dict["OPTIONS"].get("assume_role")
        if role:
            parts.append(sql.SQL(";SET ROLE {}").format(sql.Literal(role)))
        return sql.Composed(parts).as_bytes(None)

    def init_connection_state(self) -> None:
        if self._pooled is None:
            super().init_connection_state()
            return
        session = self._pooled[1].item
        if not session.configured:
            BaseDatabaseWrapper.init_connection_state(self)
            self._configure_connection(self.connection)
            # Not a change that the session would have to be reset for.
            self.connection.session_changed = False
            session.configured = True

    @cached_property
    def pg_version(self) -> int:
        with self.temporary_connection():
            return int(self.connection.pgconn.server_version)

    # --- giving back ------------------------------------------------------------------------------

    def close(self) -> None:
        if self._pooled is None and not can_wait():
            super().close()
        else:
            # Giving back does not wait, so it is allowed everywhere.
            _CLOSE.__wrapped__(self)

    def _close(self) -> None:
        if self._pooled is None:
            super()._close()
        else:
            self._give_back()

    def _give_back(self) -> None:
        if self._pooled is None:
            return
        (pool, kept), self._pooled = self._pooled, None
        kept.item.take_back()
        pool.release(kept)

    def leave_scope(self) -> None:
        """See quintette.db.scope."""
        if self._pooled is not None:
            self._give_back()
        elif self.connection is not None:
            self.connection.close()
        self.connection = None
        self.run_on_commit = []
        self.in_atomic_block = False
        self.turns.end()

    def close_if_unusable_or_obsolete(self) -> None:
        if self._pooled is None:
            super().close_if_unusable_or_obsolete()
        elif not self.in_atomic_block:
            self.close()

    def close_if_health_check_failed(self) -> None:
        if self._pooled is None:
            super().close_if_health_check_failed()
        elif (
            self.connection is not None
            and self.connection.pgconn.status == BAD
            and self.autocommit
            and not self.in_atomic_block
        ):
            # The pool has checked it before, but that was some statements ago.
            self.close()

    # --- for the pool and for tasks that share a transaction --------------------------------------

    def give_up(self) -> bool:
        """See quintette.db.pool.Holder: between two statements outside of a transaction any
        connection will do."""
        raw = self.connection
        if (
            raw is None
            or self._pooled is None
            or self.in_atomic_block
            or self.is_shared
            or not self.autocommit
            or not raw.is_as_lent()
        ):
            return False
        del raw
        if sys.getrefcount(self.connection) > _UNUSED:
            return False
        self._give_back()
        self.connection = None
        return True

    def describe(self) -> str:
        task = self._borrower and self._borrower()
        state = "in" if self.in_atomic_block or not self.autocommit else "outside of"
        return f"{task.get_name() if task else 'no task'}, {state} a transaction"

    def shared_in_transaction(self) -> None:
        """See quintette.db.scope."""
        if not self.is_shared:
            self.is_shared = True
            if isinstance(self.connection, Connection):
                raw: Any = self.connection
                raw.lock = TurnLock(raw.lock, self.turns)

    # --- statements -------------------------------------------------------------------------------

    def create_cursor(self, name: str | None = None) -> Any:
        if not can_wait():
            return super().create_cursor(name)
        raw = self.connection
        if name is None or not isinstance(raw, Connection):
            return _CREATE_CURSOR.__wrapped__(self, name)
        binding = self.settings_dict["OPTIONS"].get("server_side_binding") is True
        kind: Any = cursors.ServerBindingServerSideCursor if binding else cursors.ServerSideCursor
        # As Django has it: outside of a transaction only a cursor that is held can be read.
        cursor = kind(raw, name=name, scrollable=False, withhold=raw.autocommit)
        loader: Any = raw.adapters.get_loader(django_base.TIMESTAMPTZ_OID, pq.Format.TEXT)
        if self.timezone != loader.timezone:
            register_tzloader(self.timezone, cursor)
        return cursor

    def _commit(self) -> None:
        raw = self.connection
        if not isinstance(raw, Connection) or raw.pgconn.transaction_status == IDLE:
            super()._commit()
            return
        # Lost before: there is nothing to commit, and psycopg says so without sending anything.
        asked = still_there(raw.pgconn)
        raw.finishing = True
        try:
            super()._commit()
        except Error as error:
            if asked and raw.closed:
                raise CommitOutcomeUnknownError(
                    "The connection was lost during COMMIT; whether the transaction took place is "
                    "unknown."
                ) from error
            raise
        finally:
            raw.finishing = False


scope.install()
atomic.install()
