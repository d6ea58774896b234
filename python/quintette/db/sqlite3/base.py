"""Django's ``DatabaseWrapper`` with pragmas, a queue of writers, and a loop to leave free."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import time
import weakref
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import msgspec
from django.core.exceptions import ImproperlyConfigured
from django.db.backends.base.base import NO_DB_ALIAS, BaseDatabaseWrapper
from django.db.backends.sqlite3 import base
from django.db.backends.utils import debug_transaction

from quintette.concurrency import can_wait
from quintette.db import atomic, scope
from quintette.db.pool import Kept, Pool, close_alias, parse_options, pools_here
from quintette.db.sqlite3 import checkpoint, pragmas, reading
from quintette.db.sqlite3.cursor import Cursor
from quintette.db.sqlite3.gate import Gate
from quintette.db.sqlite3.operations import DatabaseOperations
from quintette.db.sqlite3.queue import persist, queue_of
from quintette.db.sqlite3.slow import SlowTexts
from quintette.db.sqlite3.source import Session, Sessions
from quintette.db.turns import Turns

# What a read may take on an event loop before it is repeated in a thread, in milliseconds.
READ_BUDGET_MS = 3.0

# Seconds, which a timer of asyncio's still takes.
FOREVER = 1e9
# Methods that Django guards; `__wrapped__` is the method itself.
_CLOSE: Any = BaseDatabaseWrapper.close


class Chosen(NamedTuple):
    """What the settings of a database come to."""

    name: object
    options: dict[str, Any]  # a copy: tests change the original
    params: dict[str, Any]  # for sqlite3.connect()
    pragmas: dict[str, str]
    init_commands: list[str]
    read_budget: float  # seconds
    transaction_mode: str | None
    mode_is_ours: bool

    def holds_for(self, settings_dict: dict[str, Any]) -> bool:
        return bool(self.name == settings_dict["NAME"] and self.options == settings_dict["OPTIONS"])

    @property
    def busy_timeout_ms(self) -> int:
        return int(self.pragmas.get("busy_timeout", 0))


# By alias: each task has a wrapper, and none of them needs to read the settings again.
_chosen: dict[str, Chosen] = {}
# By alias: a task's connection knows what another one has found.
_slow: dict[str, SlowTexts] = {}


class DatabaseWrapper(base.DatabaseWrapper):
    waits_in_greenlets = True  # see quintette.concurrency.engines
    per_scope = True  # see quintette.db.scope
    ops_class = DatabaseOperations
    init_commands: list[str]
    connection: Any
    run_on_commit: list[Any]
    _thread_ident: int

    def __init__(self, settings_dict: dict[str, Any], alias: str = "default") -> None:
        super().__init__(settings_dict, alias)
        self._gate: Gate | None = None
        self._chosen: Chosen | None = None
        self.turns = Turns(self)
        self.is_shared = False
        self._pooled: tuple[Pool[Session], Kept[Session]] | None = None
        self._borrower: weakref.ref[asyncio.Task[Any]] | None = None
        self._unused = 0  # references to the connection when no cursor has one
        if settings_dict.get("ATOMIC_REQUESTS"):
            reading.watch()

    # --- opening ----------------------------------------------------------------------------------

    def get_connection_params(self) -> dict[str, Any]:
        return dict(self._choose().params)

    def check_options(self) -> None:
        """ImproperlyConfigured names the key that is wrong."""
        parse_options(self.alias, self._choose().options.get("loop_pool", {}))

    def _choose(self) -> Chosen:
        chosen = _chosen.get(self.alias)
        if chosen is None or not chosen.holds_for(self.settings_dict):
            chosen = _chosen[self.alias] = self._read_settings()
        self._chosen = chosen
        self.init_commands = chosen.init_commands
        self.transaction_mode = chosen.transaction_mode
        return chosen

    def _read_settings(self) -> Chosen:
        options = self.settings_dict["OPTIONS"]
        params: dict[str, Any] = super().get_connection_params()
        params.pop("loop_pool", None)
        known = pragmas.parse(self.alias, params.pop("pragmas", {}), params.pop("timeout", None))
        read_budget = self._parse_budget(params.pop("read_budget_ms", READ_BUDGET_MS))
        params["timeout"] = 0.0  # busy_timeout is set when all the rest is
        mode_is_ours = "transaction_mode" not in options
        return Chosen(
            name=self.settings_dict["NAME"],
            options={k: dict(v) if isinstance(v, Mapping) else v for k, v in options.items()},
            params=params,
            pragmas=known,
            init_commands=[c for command in self.init_commands if (c := command.strip())],
            read_budget=read_budget,
            transaction_mode="IMMEDIATE" if mode_is_ours else self.transaction_mode,
            mode_is_ours=mode_is_ours,
        )

    @property
    def read_budget(self) -> float:
        """Seconds that a read may hold up the loop."""
        return (self._chosen or self._choose()).read_budget

    def _parse_budget(self, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1000:
            raise ImproperlyConfigured(
                f"DATABASES[{self.alias!r}]['OPTIONS']['read_budget_ms']: expected milliseconds "
                f"above 0, up to 1,000 (it is {value!r})."
            )
        return value / 1000

    def get_new_connection(self, conn_params: dict[str, Any]) -> sqlite3.Connection:
        if not can_wait() or self.alias == NO_DB_ALIAS:
            session = self._open(conn_params)
        else:
            pool = self._pool_here()
            kept = pool.borrow(self)
            self._pooled = pool, kept
            session = kept.item
            task = asyncio.current_task()
            self._borrower = None if task is None else weakref.ref(task)
        self._gate = session.gate
        return session.connection

    def _open(self, conn_params: dict[str, Any]) -> Session:
        chosen = self._chosen or self._choose()
        self.init_commands = []  # ours to run, after the pragmas
        try:
            connection: sqlite3.Connection = super().get_new_connection(conn_params)
        finally:
            self.init_commands = chosen.init_commands
        try:
            _set_up(connection, chosen)
        except BaseException:
            connection.close()
            raise
        gate = Gate(
            connection,
            None if self.is_in_memory_db() else queue_of(str(chosen.name)),
            _slow.setdefault(self.alias, SlowTexts()),
            chosen.busy_timeout_ms,
            chosen.read_budget,
        )
        return Session(connection, gate)

    def _open_for_loop(self, conn_params: dict[str, Any]) -> Session:
        session = self._open(conn_params)
        chosen = self._chosen or self._choose()
        ours = chosen.pragmas.get("journal_mode") == "WAL"
        if ours and "wal_autocheckpoint" not in chosen.pragmas and not self.is_in_memory_db():
            pages = checkpoint.PAGES_AT_MOST
            session.connection.execute(f"PRAGMA wal_autocheckpoint = {pages}").close()
            session.gate.checkpoints = queue_of(str(chosen.name)).checkpoints
        return session

    def _pool_here(self) -> Pool[Session]:
        """The running loop's, for what the settings say now: tests change them."""
        chosen = self._chosen or self._choose()
        pools = pools_here()
        pool = pools.get(self.alias)
        if pool is None or pool.source.key is not chosen:  # type: ignore[attr-defined]
            if pool is not None:
                pool.close()
            options = parse_options(self.alias, chosen.options.get("loop_pool", {}))
            in_memory = self.is_in_memory_db()
            if in_memory and "cache=shared" not in str(chosen.name):
                # Another connection would see another database.
                options = msgspec.structs.replace(
                    options, size=1, max_lifetime=FOREVER, max_idle=FOREVER
                )
            opener = type(self)(self.settings_dict, self.alias)
            opener._chosen = chosen
            connect = partial(opener._open_for_loop, chosen.params)
            source = Sessions(connect, options.reset, chosen, in_memory)
            pool = pools[self.alias] = Pool(source, options, self.alias)
        return pool

    def init_connection_state(self) -> None:
        super().init_connection_state()
        if self._gate is not None:
            # What was set so far is set again for the next borrower.
            self._gate.suspect = False
            self._unused = sys.getrefcount(self.connection)

    def pragma_sql(self) -> str:
        """What another connection, which reads the file only, is to run when it was opened.

        Without what belongs to the file, and without a busy handler.
        """
        chosen = self._choose()
        commands = [
            f"PRAGMA {name} = {setting}"
            for name, setting in chosen.pragmas.items()
            if name not in pragmas.NOT_FOR_READERS
        ]
        return "; ".join((*commands, *chosen.init_commands))

    # --- running ----------------------------------------------------------------------------------

    def create_cursor(self, name: str | None = None) -> Cursor:
        cursor = self.connection.cursor(factory=Cursor)
        cursor.gate = self._gate
        return cursor  # type: ignore[no-any-return]

    def _start_transaction_under_autocommit(self) -> None:
        mode = self.transaction_mode
        ours = self._chosen is not None and self._chosen.mode_is_ours
        if ours and self.settings_dict["ATOMIC_REQUESTS"] and reading.is_reading():
            mode = "DEFERRED"
        self.cursor().execute(f"BEGIN {mode}" if mode else "BEGIN")

    def _commit(self) -> None:
        if self._gate is not None:
            with debug_transaction(self, "COMMIT"), self.wrap_database_errors:
                self._gate.other(self.connection.commit)

    def _rollback(self) -> None:
        try:
            super()._rollback()  # type: ignore[misc]  # unknown to the stubs
        finally:
            if self._gate is not None:
                self._gate.settle()

    # --- giving back ------------------------------------------------------------------------------

    def close(self) -> None:
        if self._pooled is None:
            super().close()
        else:
            # Giving back does not wait, so it is allowed everywhere.
            _CLOSE.__wrapped__(self)

    def _close(self) -> None:
        if self._pooled is not None:
            self._give_back()
            return
        gate, self._gate = self._gate, None
        try:
            super()._close()  # type: ignore[misc]
        finally:
            if gate is not None:
                gate.close()

    def _give_back(self) -> None:
        if self._pooled is None:
            return
        (pool, kept), self._pooled = self._pooled, None
        self._gate = None
        self.is_shared = False
        kept.item.take_back()
        pool.release(kept)

    def close_pool(self) -> None:
        close_alias(self.alias)

    def leave_scope(self) -> None:
        """See quintette.db.scope."""
        if self._pooled is not None:
            self._give_back()
        elif self.connection is not None:
            self._close()
        self.connection = None
        self.run_on_commit = []
        self.in_atomic_block = False
        self.turns.end()

    # --- for the pool and for tasks that share a transaction --------------------------------------

    def give_up(self) -> bool:
        """See quintette.db.pool.Holder: between two statements outside of a transaction any
        connection will do."""
        if (
            self.connection is None
            or self._pooled is None
            or self._gate is None
            or self._gate.suspect
            or self._gate.lock.locked()
            or self.in_atomic_block
            or self.is_shared
            or self.connection.in_transaction
            or self.connection.isolation_level is not None
            or sys.getrefcount(self.connection) > self._unused  # a cursor's, a variable's
        ):
            return False
        self._give_back()
        self.connection = None
        return True

    def describe(self) -> str:
        task = self._borrower and self._borrower()
        state = "in" if self.in_atomic_block else "outside of"
        return f"{task.get_name() if task else 'no task'}, {state} a transaction"

    def shared_in_transaction(self) -> None:
        """See quintette.db.scope."""
        if not self.is_shared and self._gate is not None:
            self.is_shared = True
            self._gate.share(self.turns)


def _set_up(connection: sqlite3.Connection, chosen: Chosen) -> None:
    deadline = time.monotonic() + chosen.busy_timeout_ms / 1000
    for name, setting in chosen.pragmas.items():
        if name != "busy_timeout":
            _set(connection, name, setting, deadline)
    for command in chosen.init_commands:
        persist(partial(connection.execute, command), deadline).close()
    # Up to here it was 0: waiting was ours.
    connection.execute(f"PRAGMA busy_timeout = {chosen.busy_timeout_ms}").close()


def _set(connection: sqlite3.Connection, name: str, setting: str, deadline: float) -> None:
    if name == "journal_mode":
        # A property of the file: set only where it differs, for that takes the file for oneself.
        (present,) = persist(lambda: connection.execute("PRAGMA journal_mode").fetchone(), deadline)
        if present == "memory" or present.upper() == setting:
            return
    try:
        persist(lambda: connection.execute(f"PRAGMA {name} = {setting}").close(), deadline)
    except sqlite3.OperationalError as error:
        # Then the file stays as whoever may write it has made it.
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_READONLY:
            raise


scope.install()
atomic.install()
