"""Tasks that share a transaction: whose turn it is.

A task that was started inside another one's atomic block uses that one's connection. Single
statements queue on the connection's lock. An atomic block is more than a statement: from its
savepoint to its release only the task that opened it, and those started inside it, may use the
connection, or savepoints would not nest. Everybody else waits here.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from typing import Any, Self

from django.db import OperationalError
from django.db.transaction import TransactionManagementError

from quintette.concurrency import can_wait, wait_for
from quintette.db.scope import Block, ScopedWrapper, blocks

# A block that is held longer than this by one task while another one of the transaction waits is
# taken for a deadlock: the holder may well be waiting for the other one.
TURN_SECONDS = 60.0


class Turns:
    """Of one wrapper. Used by its thread alone."""

    __slots__ = ("_queue", "_wrapper", "holder")

    def __init__(self, wrapper: ScopedWrapper) -> None:
        # Weak, since the wrapper refers to this: without the garbage collector's help it is gone,
        # and its connection closed, when nobody refers to it.
        self._wrapper = weakref.ref(wrapper)
        self.holder: Block | None = None  # the innermost open block
        # In order of arrival, no more than there are tasks: the blocks that a task is in; what it
        # waits with.
        self._queue: deque[tuple[tuple[Block, ...], asyncio.Future[Block | None], bool]] = deque()

    @property
    def wrapper(self) -> ScopedWrapper:
        wrapper = self._wrapper()
        assert wrapper is not None
        return wrapper

    def enter(self) -> Block:
        """Opens a block, in turn."""
        mine = blocks.get()
        block = self._opened() if self._may(mine) else self._wait(mine, opens=True)
        assert block is not None
        blocks.set((*mine, block))
        return block

    def pass_through(self) -> None:
        """Returns when a statement of this task may run."""
        mine = blocks.get()
        if not self._may(mine):
            self._wait(mine, opens=False)

    def leave(self, block: Block) -> None:
        """Closes a block, and any that other tasks still have open inside it."""
        inner = self.holder
        while inner is not None and block.open:
            inner.open = False
            self.holder = inner.outer
            inner = self.holder
        blocks.set(tuple(known for known in blocks.get() if known.open))
        if self._queue:
            self._wake()

    def end(self) -> None:
        """Closes all blocks: the connection is gone."""
        while self.holder is not None:
            self.leave(self.holder)

    def entered(self) -> Block | None:
        """The block that this task is about to leave."""
        alias = self.wrapper.alias
        for block in reversed(blocks.get()):
            if block.wrapper.alias == alias:
                return block
        # It was entered in another context.
        return self.holder

    def _may(self, mine: tuple[Block, ...]) -> bool:
        if not self.wrapper.is_shared or (self.holder is not None and self.holder in mine):
            return True
        # Who has none of the blocks in its context is no guest: it entered them in another one.
        return not any(block.wrapper is self.wrapper for block in mine)

    def _opened(self) -> Block:
        self.holder = Block(self.wrapper, self.holder)
        return self.holder

    def _wait(self, mine: tuple[Block, ...], *, opens: bool) -> Block | None:
        self._check_open(mine)
        if not can_wait():
            raise TransactionManagementError(
                "Another task is inside an atomic block of the transaction that this one shares."
            )
        future: asyncio.Future[Block | None] = asyncio.get_running_loop().create_future()
        self._queue.append((mine, future, opens))
        try:
            return wait_for(future, TURN_SECONDS)
        except BaseException as error:
            granted = future.result() if future.done() and not future.cancelled() else None
            future.cancel()
            if granted is not None:
                self.leave(granted)
            if isinstance(error, TimeoutError):
                raise OperationalError(
                    "Another task has been inside an atomic block of the transaction that this "
                    f"one shares for {TURN_SECONDS:g} s."
                ) from None
            raise

    def _check_open(self, mine: tuple[Block, ...]) -> None:
        if not any(block.open and block.wrapper is self.wrapper for block in mine):
            raise ended()

    def _wake(self) -> None:
        waiting, self._queue = self._queue, deque()
        while waiting:
            mine, future, opens = entry = waiting.popleft()
            if future.done():
                continue
            if not any(block.open and block.wrapper is self.wrapper for block in mine):
                future.set_exception(ended())
            elif self.holder in mine:
                future.set_result(self._opened() if opens else None)
            else:
                self._queue.append(entry)


class TurnLock:
    """A connection's lock that a statement gets when it is its task's turn."""

    def __init__(self, lock: Any, turns: Turns) -> None:
        self.inner = lock
        self._turns = turns

    def __enter__(self) -> Self:
        self._turns.pass_through()
        self.inner.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self.inner.__exit__(*exc)

    def locked(self) -> bool:
        return bool(self.inner.locked())


def ended() -> TransactionManagementError:
    return TransactionManagementError(
        "The transaction that this task took part in has ended. A task that outlives the atomic "
        "block in which it was started must not use the block's connection afterwards."
    )
