"""Synchronous code that waits without holding up the event loop.

``await run(func)`` runs a synchronous function in a greenlet on the loop's own thread. Wherever it
has to wait (for a database, a lock, an awaitable) the loop goes on with other work, and comes back
when what it waits for is there. No thread is involved: such code must not block in any other way,
and computes at everybody's expense.

The function runs as the task that awaits it, in its context: context variables, the language and
the time zone are shared with it, cancelling the task raises ``CancelledError`` where the function
waits. Data of ``threading.local`` is as apart as between threads.
"""

from quintette.concurrency._waiting import (
    FdWait,
    Lock,
    can_wait,
    in_thread,
    run,
    sleep,
    wait_fd,
    wait_for,
)

__all__ = ["FdWait", "Lock", "can_wait", "in_thread", "run", "sleep", "wait_fd", "wait_for"]
