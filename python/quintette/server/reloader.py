"""``serve --reload``: a parent that watches files, and a child that serves.

The parent holds the listening socket, so that a browser's request waits through a restart. The
child tells it which files it has loaded; they are looked at by their modification times. A change
of one that Django can take up by itself (a template, a translation) is handed to the child, any
other one replaces the child. A child that fails to load is not restarted until something changes.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.utils import autoreload

from quintette.server import child

logger = logging.getLogger("quintette.server")

FD_VARIABLE = "QUINTETTE_RELOAD_FD"
LISTEN_VARIABLE = "QUINTETTE_LISTEN_FD"

# Between two looks at the files, at least; and so long that looking takes a tenth of the time.
LOOK_SECONDS = 0.2
LOOK_SHARE = 10
# What requests in flight get when the code has changed.
DRAIN_SECONDS = 0.5
# How often a child looks whether it has loaded more files.
REPORT_SECONDS = 1.0

Stamps = dict[str, float]


# --- the parent


class Reloader:
    def __init__(self, listen_fd: int) -> None:
        self._listen_fd = listen_fd
        self._selector = selectors.DefaultSelector()
        self._files: set[str] = set(child.loaded_files())
        self._globs: list[tuple[str, str]] = []
        self._stamps: Stamps = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: socket.socket | None = None
        self._unread = b""
        self._served = False
        self._stopped = False

    def run(self) -> int:
        """Until SIGTERM or SIGINT."""
        old = {n: signal.signal(n, self._stop) for n in (signal.SIGTERM, signal.SIGINT)}
        try:
            self._stamps = self._look()
            self._start()
            while not self._stopped:
                self._turn()
        finally:
            self._end()
            for number, handler in old.items():
                signal.signal(number, handler)
        return 0

    def _stop(self, number: int, frame: object) -> None:
        self._stopped = True

    def _turn(self) -> None:
        began = time.monotonic()
        stamps = self._look()
        took = time.monotonic() - began
        changed = changes(self._stamps, stamps)
        self._stamps = stamps
        if changed:
            self._heed(changed)
        self._listen(max(LOOK_SECONDS, took * LOOK_SHARE))
        if self._process is not None and self._process.poll() is not None:
            self._ended(self._process.returncode)

    def _heed(self, changed: list[str]) -> None:
        if self._process is not None and not any(path in self._files for path in changed):
            # Django's receivers of file_changed may know what to do; the child asks them.
            self._tell({"changed": changed})
            return
        logger.info("%s changed: restarting", _short(changed))
        self._restart()

    def _restart(self) -> None:
        self._end()
        self._start()

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            fds = (theirs.fileno(), self._listen_fd)
            listening = f"{self._listen_fd} {int(self._served)}"
            self._process = subprocess.Popen(
                child_command(theirs.fileno()),
                env={**os.environ, LISTEN_VARIABLE: listening},
                pass_fds=fds,
            )
        ours.setblocking(False)
        self._pipe, self._unread = ours, b""
        self._selector.register(ours, selectors.EVENT_READ)

    def _end(self) -> None:
        process = self._process
        if process is None:
            return
        self._process = None
        process.terminate()
        try:
            process.wait(DRAIN_SECONDS + 1)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._hang_up()

    def _ended(self, code: int) -> None:
        self._listen(0)
        self._process = None
        self._hang_up()
        # Files that were loaded for the first time must be known as they are now.
        self._stamps = self._look()
        if code == 0:
            self._stopped = True
        else:
            logger.error("Waiting for a change, then trying again")

    def _hang_up(self) -> None:
        if self._pipe is not None:
            self._selector.unregister(self._pipe)
            self._pipe.close()
            self._pipe = None

    # --- messages

    def _tell(self, message: dict[str, Any]) -> None:
        if self._pipe is not None:
            with suppress(OSError):
                self._pipe.sendall(json.dumps(message).encode() + b"\n")

    def _listen(self, seconds: float) -> None:
        if not self._selector.get_map():
            time.sleep(seconds)
            return
        end = time.monotonic() + seconds
        while self._selector.select(max(0.0, end - time.monotonic())):
            data = b""
            if self._pipe is not None:
                with suppress(BlockingIOError, ConnectionError):
                    data = self._pipe.recv(1 << 20)
            if not data:
                self._hang_up()
                return
            *lines, self._unread = (self._unread + data).split(b"\n")
            for line in lines:
                self._receive(json.loads(line))

    def _receive(self, message: dict[str, Any]) -> None:
        if "files" in message:
            self._files.update(message["files"])
        if "globs" in message:
            self._served = True
            self._globs = [(folder, pattern) for folder, pattern in message["globs"]]
        if "restart" in message:
            logger.info("%s changed: restarting", _short(message["restart"]))
            self._restart()
        else:
            self._stamps = {**self._look(), **self._stamps}

    # --- files

    def _look(self) -> Stamps:
        stamps = {}
        for file in (*self._files, *self._matches()):
            with suppress(OSError):
                stamps[file] = os.stat(file).st_mtime
        return stamps

    def _matches(self) -> Iterable[str]:
        for folder, pattern in self._globs:
            with suppress(OSError):
                yield from map(str, Path(folder).glob(pattern))


def changes(old: Stamps, new: Stamps) -> list[str]:
    """What was written or has come. What is gone may be between two halves of a save."""
    return sorted(path for path, stamp in new.items() if old.get(path) != stamp)


def child_command(fd: int) -> list[str]:
    """This very command line, through child.py."""
    options = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if spec is None:
        target = ["script", sys.argv[0]]
    else:
        is_package = spec.name.endswith(".__main__") and spec.parent
        target = ["module", spec.parent if is_package else spec.name]
    return [sys.executable, *options, child.__file__, str(fd), *target, *sys.argv[1:]]


def _short(paths: list[str]) -> str:
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    return os.path.relpath(paths[0]) + more


# --- the child


class ChildSide:
    """In the serving process: reports its files, asks Django about changes."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._reloader = autoreload.BaseReloader()
        self._reported = 0
        self._unread = b""

    @staticmethod
    def exists() -> bool:
        """This process is a child, or it was before it took its side."""
        return LISTEN_VARIABLE in os.environ

    @classmethod
    def from_environment(cls) -> ChildSide | None:
        """None when this process is no child. Not for the child's own children."""
        value = os.environ.pop(FD_VARIABLE, None)
        return cls(int(value)) if value else None

    def setup(self, loop: asyncio.AbstractEventLoop) -> None:
        autoreload.autoreload_started.send(sender=self._reloader)
        globs = [
            (str(folder), pattern)
            for folder, patterns in self._reloader.directory_globs.items()
            for pattern in patterns
        ]
        child.tell(self._fd, {"globs": globs, "files": self._files()})
        os.set_blocking(self._fd, False)
        loop.add_reader(self._fd, self._receive)
        loop.call_later(REPORT_SECONDS, self._report, loop)

    def _files(self) -> list[str]:
        self._reported = len(sys.modules)
        return [*child.loaded_files(), *map(str, self._reloader.extra_files)]

    def _report(self, loop: asyncio.AbstractEventLoop) -> None:
        if len(sys.modules) != self._reported:
            self._tell({"files": self._files()})
        loop.call_later(REPORT_SECONDS, self._report, loop)

    def _tell(self, message: dict[str, object]) -> None:
        os.set_blocking(self._fd, True)
        with suppress(OSError):
            child.tell(self._fd, message)
        os.set_blocking(self._fd, False)

    def _receive(self) -> None:
        try:
            data = os.read(self._fd, 1 << 20)
        except BlockingIOError:
            return
        if not data:
            # The parent is gone.
            asyncio.get_running_loop().remove_reader(self._fd)
            os.kill(os.getpid(), signal.SIGTERM)
            return
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            self._changed(json.loads(line)["changed"])

    def _changed(self, paths: list[str]) -> None:
        unknown = []
        for path in paths:
            answers = autoreload.file_changed.send(sender=self._reloader, file_path=Path(path))
            if not any(answer for _receiver, answer in answers):
                unknown.append(path)
        if unknown:
            self._tell({"restart": unknown})
