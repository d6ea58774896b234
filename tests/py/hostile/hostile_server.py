"""A server process for hostile clients: hostile_server.py OPTIONS_AS_JSON.

It writes its port, then answers each line on its standard input with one line of JSON: "look" with
counters, memory and descriptors; "drain" likewise, after it has begun to drain. It ends when its
standard input does, or when it has drained.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import threading
from types import SimpleNamespace
from typing import Any

from quintette import _quintette

BIG = b"x" * 3_000_000


class Reply:
    """What the engine reads of a django.http.HttpResponseBase."""

    status_code = 200
    streaming = False
    is_async = False
    file_to_stream = None
    cookies: dict[str, Any] = {}

    def __init__(self, content: bytes) -> None:
        self.headers = SimpleNamespace(_store={"x-app": ("X-App", "1")})
        self.content = content

    def close(self) -> None:
        pass

    close_on_loop = close


go_on = threading.Event()


def handle(request: Any) -> Reply:
    if request.path == "/big":
        return Reply(BIG)
    if request.path == "/held":
        go_on.wait()
    size = request.body_len
    # The environ is what Django's META is made of: how an attack on names and values would show.
    environ = request.environ()
    names = sorted(key for key in environ if key.startswith("HTTP_X"))
    return Reply(f"{request.method} {size} {','.join(names)}".encode())


def on_error(error: BaseException, request: Any) -> None:
    print(repr(error), file=sys.stderr)


def rss_bytes() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


class Host:
    def __init__(self, options: dict[str, Any]) -> None:
        limits = options.get("limits", {})
        # A part of a thousand of what this process has now.
        if "memory_max" in limits:
            limits["memory_max"] = rss_bytes() * 1000 // limits["memory_max"]
        self.poller = _quintette.Poller()
        self.loop = asyncio.SelectorEventLoop(self.poller)
        self.poller.bind_loop(self.loop)
        self.threads = _quintette.ThreadPool(2)
        log = options.get("log")
        self.log_fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND) if log else 1
        self.server = _quintette.Server(
            self.poller,
            django_sync=handle,
            threads=self.threads,
            limits=limits,
            statics=[("/static/", options["root"], {})] if "root" in options else None,
            access_log=1 if log else 0,
            access_log_fd=self.log_fd,
            on_error=on_error,
        )
        self.fd = _quintette.listen("127.0.0.1", options.get("port", 0))
        self.server.accept_on(self.fd)

    def port(self) -> int:
        with socket.socket(fileno=os.dup(self.fd)) as sock:
            port: int = sock.getsockname()[1]
            return port

    def look(self) -> str:
        fds = len(os.listdir("/proc/self/fd"))
        return json.dumps({**self.server.stats(), "rss": rss_bytes(), "fds": fds})

    def on_command(self) -> None:
        command = os.read(0, 100).decode().strip()
        if not command:
            self.loop.stop()
            return
        if command == "go on":
            go_on.set()
        if command == "drain":
            self.server.drain()
            os.close(self.fd)
            self.loop.create_task(self.watch_drain())
        print(self.look(), flush=True)

    async def watch_drain(self) -> None:
        while not self.server.drained:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        self.loop.stop()

    def run(self) -> None:
        self.loop.add_reader(0, self.on_command)
        print(self.port(), flush=True)
        self.loop.run_forever()
        self.loop.remove_reader(0)
        self.server.abort()
        while self.server.stats()["in_flight"]:
            self.loop.run_until_complete(asyncio.sleep(0.01))
        self.server.close()
        self.threads.stop(5)
        self.loop.close()


if __name__ == "__main__":
    Host(json.loads(sys.argv[1])).run()
