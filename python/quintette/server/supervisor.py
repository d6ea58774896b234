"""The parent of the workers: keeps them running, restarts them, ends them.

    parent ── binds the sockets, loads the project, forks
      ├── worker 0 ── accepts on socket 0
      └── worker 1 ── accepts on socket 1

A socket belongs to a slot, not to a worker: the parent keeps it open, so that connections wait
in its queue while a worker that died is replaced.

Each worker has one end of two pipes: `status`, into which it writes one byte once it accepts
connections, and `life`, which reads as ended when the parent is gone.
"""

from __future__ import annotations

import logging
import os
import selectors
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

logger = logging.getLogger("quintette.server")

# Exit status of a worker that could not start.
START_FAILED = 3
# A worker that lives shorter is restarted ever more slowly.
YOUNG_SECONDS = 1.0
BACKOFF_SECONDS = 0.1
BACKOFF_MAX_SECONDS = 10.0
# Deaths in a row, of a slot that never was ready, after which it is given up.
START_ATTEMPTS = 3
# What a worker may take beyond its own drain before it is killed.
GRACE_SECONDS = 3.0

# run(slot's socket, on_ready, life) -> None, in the worker.
RunWorker = Callable[[int, Callable[[], None], int], None]


@dataclass
class _Process:
    pid: int
    status_fd: int
    started: float
    ready: bool = False
    kill_at: float | None = None


@dataclass
class _Slot:
    number: int
    fd: int
    process: _Process | None = None
    retiring: list[_Process] = field(default_factory=list)
    """Told to stop, still draining."""
    successor: _Process | None = None
    """Started to take over from `process` once it is ready."""
    failures: int = 0
    was_ready: bool = False
    restart_at: float | None = None


class Supervisor:
    def __init__(
        self,
        fds: list[int],
        run_worker: RunWorker,
        *,
        drain_seconds: float,
        on_exit: Callable[[int], object] = lambda pid: None,
    ) -> None:
        """``on_exit`` is told the pid of each process that has ended."""
        self._slots = [_Slot(number, fd) for number, fd in enumerate(fds)]
        self._run_worker = run_worker
        self._drain_seconds = drain_seconds
        self._on_worker_exit = on_exit
        self._selector = selectors.DefaultSelector()
        self._signals: list[int] = []
        self._stops = 0
        self._restarting: list[_Slot] = []
        self._exit_code = 0
        self._life_read, self._life_write = os.pipe()

    def run(self, on_ready: Callable[[], None] = lambda: None) -> int:
        """Until SIGTERM or SIGINT, or until no worker can be started. The exit status.

        on_ready is called once, when every worker accepts connections.
        """
        told = False
        with _SignalPipe(self._signals) as wakeup:
            self._selector.register(wakeup, selectors.EVENT_READ)
            for slot in self._slots:
                slot.process = self._fork(slot)
            while self._any_process() or self._any_restart():
                self._wait(wakeup)
                self._obey_signals()
                self._reap()
                self._restart_due()
                self._kill_overdue()
                if not told and all(slot.was_ready for slot in self._slots):
                    told = True
                    on_ready()
        return self._exit_code

    # --- processes

    def _fork(self, slot: _Slot) -> _Process:
        read_fd, write_fd = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            os.close(read_fd)
            self._be_worker(slot, write_fd)
        os.close(write_fd)
        process = _Process(pid, read_fd, time.monotonic())
        self._selector.register(read_fd, selectors.EVENT_READ, process)
        return process

    def _be_worker(self, slot: _Slot, status_fd: int) -> None:
        """Never returns."""
        code = START_FAILED
        try:
            signal.set_wakeup_fd(-1)
            for number in _SignalPipe.NUMBERS:
                signal.signal(number, signal.SIG_DFL)
            os.close(self._life_write)
            for key in list(self._selector.get_map().values()):
                if isinstance(key.data, _Process):
                    os.close(key.fd)
            self._selector.close()
            for fd in {other.fd for other in self._slots} - {slot.fd}:
                os.close(fd)

            def ready() -> None:
                nonlocal code
                code = 1
                os.write(status_fd, b"R")

            self._run_worker(slot.fd, ready, self._life_read)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            for stream in (sys.stdout, sys.stderr):
                with suppress(Exception):
                    stream.flush()
            os._exit(code)

    def _reap(self) -> None:
        for slot in self._slots:
            for process in self._processes(slot):
                pid, status = os.waitpid(process.pid, os.WNOHANG)
                if pid:
                    self._heed_status(process)
                    self._forget(process)
                    self._on_worker_exit(process.pid)
                    self._on_exit(slot, process, os.waitstatus_to_exitcode(status))

    def _on_exit(self, slot: _Slot, process: _Process, code: int) -> None:
        if process in slot.retiring:
            slot.retiring.remove(process)
            return
        if process is slot.successor:
            slot.successor = None
            self._restarting.clear()
            logger.error("Restart given up: the new worker did not start, the old ones serve on")
            return
        slot.process = None
        if self._stops:
            return
        lived = time.monotonic() - process.started
        if process.ready and lived >= YOUNG_SECONDS:
            slot.failures = 0
        else:
            slot.failures += 1
        if not slot.was_ready and (slot.failures >= START_ATTEMPTS or code == START_FAILED):
            self._give_up(slot)
            return
        delay = 0.0
        if slot.failures:
            delay = min(BACKOFF_SECONDS * 2 ** (slot.failures - 1), BACKOFF_MAX_SECONDS)
        slot.restart_at = time.monotonic() + delay
        logger.error("Worker %d (pid %d) %s; restarting it", slot.number, process.pid, _how(code))

    def _give_up(self, slot: _Slot) -> None:
        self._exit_code = 1
        logger.critical("Worker %d did not start; see the error above. Stopping.", slot.number)
        self._stop()

    def _restart_due(self) -> None:
        now = time.monotonic()
        for slot in self._slots:
            if slot.restart_at is not None and slot.restart_at <= now:
                slot.restart_at = None
                if not self._stops:
                    slot.process = self._fork(slot)
        self._continue_rolling()

    # --- rolling restart

    def _continue_rolling(self) -> None:
        """One slot after the other: the old worker goes once the new one accepts."""
        if not self._restarting or self._stops:
            return
        slot = self._restarting[0]
        if slot.successor is None:
            slot.successor = self._fork(slot)
        elif slot.successor.ready:
            if slot.process is not None:
                self._end(slot.process, self._drain_seconds)
                slot.retiring.append(slot.process)
            slot.process, slot.successor = slot.successor, None
            self._restarting.pop(0)
            if self._restarting:
                self._continue_rolling()
            else:
                logger.info("All workers were restarted")

    # --- signals

    def _obey_signals(self) -> None:
        while self._signals:
            number = self._signals.pop(0)
            if number in (signal.SIGTERM, signal.SIGINT):
                self._stop()
            elif number == signal.SIGHUP and not self._stops and not self._restarting:
                logger.info("SIGHUP: restarting the workers one by one")
                self._restarting = list(self._slots)

    def _stop(self) -> None:
        """The first call lets the workers drain, the second one does not wait."""
        self._stops += 1
        if self._stops == 1:
            for fd in {slot.fd for slot in self._slots}:
                os.close(fd)
        for slot in self._slots:
            slot.restart_at = None
            for process in self._processes(slot):
                self._end(process, self._drain_seconds if self._stops == 1 else 0)

    def _end(self, process: _Process, drain_seconds: float) -> None:
        self._signal(process, signal.SIGTERM)
        process.kill_at = time.monotonic() + drain_seconds + GRACE_SECONDS

    def _kill_overdue(self) -> None:
        for slot in self._slots:
            for process in self._processes(slot):
                if process.kill_at is not None and process.kill_at <= time.monotonic():
                    process.kill_at = None
                    logger.warning("Worker %d (pid %d) was killed", slot.number, process.pid)
                    self._signal(process, signal.SIGKILL)

    # --- waiting

    def _wait(self, wakeup: socket.socket) -> None:
        for key, _events in self._selector.select(self._timeout()):
            if key.fileobj is wakeup:
                with suppress(BlockingIOError):
                    wakeup.recv(4096)
            else:
                self._heed_status(key.data)

    def _timeout(self) -> float | None:
        moments = [slot.restart_at for slot in self._slots]
        moments += [p.kill_at for slot in self._slots for p in self._processes(slot)]
        due = [moment for moment in moments if moment is not None]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _heed_status(self, process: _Process) -> None:
        """Reads what a worker said: that it is ready, or, at the pipe's end, nothing more."""
        if process.status_fd not in self._selector.get_map():
            return
        os.set_blocking(process.status_fd, False)
        try:
            said = os.read(process.status_fd, 1)
        except BlockingIOError:
            return
        self._selector.unregister(process.status_fd)
        if said:
            process.ready = True
            for slot in self._slots:
                slot.was_ready |= process is slot.process

    def _forget(self, process: _Process) -> None:
        with suppress(KeyError):
            self._selector.unregister(process.status_fd)
        os.close(process.status_fd)

    @staticmethod
    def _signal(process: _Process, number: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(process.pid, number)

    @staticmethod
    def _processes(slot: _Slot) -> list[_Process]:
        return [p for p in (slot.process, slot.successor, *slot.retiring) if p is not None]

    def _any_process(self) -> bool:
        return any(self._processes(slot) for slot in self._slots)

    def _any_restart(self) -> bool:
        return any(slot.restart_at is not None for slot in self._slots)


class _SignalPipe:
    """Signals as readable bytes, so that one select() waits for everything."""

    NUMBERS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)

    def __init__(self, arrived: list[int]) -> None:
        self._arrived = arrived

    def __enter__(self) -> socket.socket:
        self._read, self._write = socket.socketpair()
        self._read.setblocking(False)
        self._write.setblocking(False)
        self._old_fd = signal.set_wakeup_fd(self._write.fileno(), warn_on_full_buffer=False)
        self._old = {n: signal.signal(n, self._arrive) for n in self.NUMBERS}
        return self._read

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._old_fd)
        self._read.close()
        self._write.close()

    def _arrive(self, number: int, frame: object) -> None:
        if number != signal.SIGCHLD:
            self._arrived.append(number)


def _how(code: int) -> str:
    if code >= 0:
        return f"ended with status {code}"
    with suppress(ValueError):
        return f"was ended by {signal.Signals(-code).name}"
    return f"was ended by signal {-code}"
