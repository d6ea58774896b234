"""Checkpoints beside the loop.

SQLite copies its write-ahead log into the database when a COMMIT finds that it has become long, and
waits for the disk then: some ten milliseconds, in which a loop would stand still. So connections of
a loop leave that to a thread.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from contextlib import closing

# Transactions of this process's loops between two checkpoints. SQLite itself counts pages, and so
# many transactions fill a thousand of them or a few.
WRITES = 250
# Pages after which a COMMIT does it nevertheless: the thread does not keep up. SQLite's own: 1,000.
PAGES_AT_MOST = 10_000

logger = logging.getLogger("quintette.db")


class Checkpoints:
    """Of one database file."""

    def __init__(self, database: str) -> None:
        """database: a path or a "file:" URI."""
        self._database = database
        self._writes = 0
        self._running = False

    def wrote(self) -> None:
        """A transaction of a loop's connection has ended; on the loop. Never waits."""
        self._writes += 1
        if self._writes >= WRITES and not self._running:
            self._writes = 0
            self._running = True
            asyncio.get_running_loop().run_in_executor(None, self._run)

    def _run(self) -> None:
        try:
            with closing(sqlite3.connect(self._database, timeout=0, uri=True)) as connection:
                # PASSIVE waits for nobody, and nobody for it.
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error as error:
            logger.warning("No checkpoint of %s: %s", self._database, error)
        finally:
            self._running = False
