"""Django's SQLite engine with settings for production: ``ENGINE = "quintette.db.sqlite3"``.

Outside of an event loop it is Django's, with other pragmas and with writers that queue. In a
greenlet on the loop (``quintette.concurrency``) short reads run right there, long ones in a thread,
and a writer's wait for its turn leaves the loop free. docs/sqlite.md has the details.
"""
