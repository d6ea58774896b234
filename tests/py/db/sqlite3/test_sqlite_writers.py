"""Writers of threads and of processes: each gets its turn, and none fails because of a lock."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connections, transaction
from sqlite_things import Things, names, sql

from quintette.db.sqlite3 import queue
from quintette.db.sqlite3.queue import queue_of

WRITER = Path(__file__).with_name("sqlite_writer.py")


def in_thread(call: Callable[[], Any]) -> Any:
    """In one of its own, whose connection is closed."""

    def closing() -> Any:
        try:
            return call()
        finally:
            connections["sq"].close()

    with ThreadPoolExecutor(1) as threads:
        return threads.submit(closing).result(60)


def test_threads_write_in_the_order_of_asking(sq: Any) -> None:
    order: list[int] = []

    def write(i: int) -> None:
        with transaction.atomic(using="sq"):
            order.append(i)
            Things.create(name=str(i))
        connections["sq"].close()

    waiting = queue_of(sq.settings_dict["NAME"])
    entered: list[int] = []
    enter = waiting.enter
    waiting.enter = lambda seconds: entered.append(0) or enter(seconds)  # type: ignore[method-assign,func-returns-value]
    with ThreadPoolExecutor(8) as threads, transaction.atomic(using="sq"):
        Things.create(name="first")
        for i in range(8):
            threads.submit(write, i)
            while len(entered) < i + 2:
                time.sleep(0.001)
        assert order == []
    assert order == list(range(8))


def autocommit() -> None:
    Things.create(name="a")


def atomic() -> None:
    with transaction.atomic(using="sq"):
        Things.create(name="a")


def legacy() -> None:
    """The begin is the sqlite3 module's own."""
    connections["sq"].set_autocommit(False)
    Things.create(name="a")
    connections["sq"].commit()
    connections["sq"].set_autocommit(True)


def by_hand() -> None:
    sql("BEGIN")
    sql("INSERT INTO thing (name) VALUES ('a')")
    sql("COMMIT")


def failing() -> None:
    Things.create(name="a")
    with suppress(ZeroDivisionError), transaction.atomic(using="sq"):
        Things.create(name="b")
        raise ZeroDivisionError


def many() -> None:
    with connections["sq"].cursor() as cursor:
        values = ((name,) for name in "a")
        cursor.executemany("INSERT INTO thing (name) VALUES (%s)", values)


def script() -> None:
    with connections["sq"].cursor() as cursor:
        cursor.executescript("INSERT INTO thing (name) VALUES ('a'); SELECT 1;")


def named_parameters() -> None:
    with connections["sq"].cursor() as cursor:
        cursor.execute(
            "INSERT INTO thing (name, n) VALUES (%(name)s, %(n)s)", {"name": "a", "n": 1}
        )


def left_open() -> None:
    """The thread ends inside its transaction."""
    connections["sq"].ensure_connection()
    sql("INSERT INTO thing (name) VALUES ('a')")
    transaction.atomic(using="sq").__enter__()
    Things.create(name="b")
    connections["sq"]._close()


WAYS = [autocommit, atomic, legacy, by_hand, failing, many, script, named_parameters, left_open]


@pytest.mark.parametrize("way", WAYS)
def test_each_way_to_write_gives_the_turn_away(sq: Any, way: Callable[[], None]) -> None:
    in_thread(way)
    turn = queue_of(sq.settings_dict["NAME"])
    assert turn.enter(0)
    turn.leave()
    assert names() == {"a"}


def test_a_thread_that_ends_gives_its_turn_away(sq: Any) -> None:
    """Though nobody has closed its connection: Django's wrappers are left to the collector."""

    def leave() -> None:
        sql("BEGIN IMMEDIATE")

    thread = threading.Thread(target=leave)
    thread.start()
    thread.join()
    gc.collect()
    in_thread(autocommit)
    assert names() == {"a"}


def test_a_turn_that_does_not_come(configure: Any, sq: Any) -> None:
    configure(timeout=0.05)
    with transaction.atomic(using="sq"):
        Things.create(name="first")
        with pytest.raises(OperationalError, match="database is locked: other writers") as caught:
            in_thread(autocommit)
    assert caught.value.__cause__.sqlite_errorname == "SQLITE_BUSY"  # type: ignore[union-attr]
    in_thread(autocommit)
    assert names() == {"first", "a"}


def test_one_queue_per_file(tmp_path: Path) -> None:
    path = tmp_path / "a b.sqlite3"
    link = tmp_path / "link"
    link.symlink_to(path)
    one = queue_of(str(path))
    assert queue_of(str(link)) is one
    assert queue_of(f"file:{str(path).replace(' ', '%20')}?mode=rw") is one
    assert queue_of(str(tmp_path / "other")) is not one
    del one
    assert not [key for key in queue._queues if key.startswith(str(tmp_path))]


def test_readers_see_what_was_committed_and_do_not_wait(sq: Any) -> None:
    Things.create(name="a")
    with transaction.atomic(using="sq"):
        Things.create(name="b")
        assert in_thread(names) == {"a"}
    assert in_thread(names) == {"a", "b"}


@pytest.mark.slow
def test_writers_of_several_processes(sq: Any) -> None:
    """Nobody fails, and what each transaction has read is still so when it writes."""
    processes, threads, transactions = 4, 4, 25
    arguments = [sq.settings_dict["NAME"], str(threads), str(transactions)]
    command = [sys.executable, str(WRITER), *arguments]
    writers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(processes)
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.communicate("go\n", timeout=300)
        assert writer.returncode == 0
    total = processes * threads * transactions
    assert sql("SELECT count(*), min(n), max(n) FROM thing") == [(total, 1, total)]
