"""Django's LiveServerTestCase on our server: sockets, threads and all."""

from __future__ import annotations

import asyncio
from typing import Any

from django.contrib.staticfiles.handlers import StaticFilesHandlerMixin
from django.core.handlers.exception import response_for_exception
from django.db import connections
from django.http import Http404
from django.test.testcases import LiveServerThread, _MediaFilesHandler

from over_quintette.handlers import OwnMiddleware
from quintette import _quintette
from quintette.server.handler import SyncHandler

THREADS = 4
# For what still runs when the server is told to end.
LAST_SECONDS = 5.0
POLL_SECONDS = 0.01


class _Handler(OwnMiddleware, SyncHandler):
    """The project behind the handlers for static and media files that LiveServerTestCase asks
    for, whose lookup of files it borrows."""

    def __init__(self, static_handler: Any, connections_override: dict[str, Any]) -> None:
        super().__init__()
        self._files = [static_handler(self), _MediaFilesHandler(self)]
        self._override = connections_override

    def get_response(self, request: Any) -> Any:
        for alias, connection in self._override.items():
            connections[alias] = connection
        for files in self._files:
            if not files._should_handle(request.path):
                continue
            try:
                return files.serve(request)
            except Http404 as error:
                if isinstance(files, StaticFilesHandlerMixin):
                    return response_for_exception(request, error)
        return super().get_response(request)


class QuintetteServerThread(LiveServerThread):
    """In the place of django.test.testcases.LiveServerThread."""

    def run(self) -> None:
        try:
            handler = _Handler(self.static_handler, self.connections_override or {})
            # Django's server is made as ever, and asked for nothing but its socket.
            self.httpd = self._create_server(connections_override=self.connections_override)
            self.port = self.httpd.server_address[1]
            self.httpd.socket.setblocking(False)
            poller = _quintette.Poller()
            self._loop = asyncio.SelectorEventLoop(poller)
            poller.bind_loop(self._loop)
            self._loop.run_until_complete(self._serve(poller, handler))
            self._loop.close()
        except Exception as error:
            self.error = error
            self.is_ready.set()
        finally:
            connections.close_all()

    async def _serve(self, poller: Any, handler: _Handler) -> None:
        self._told_to_stop = asyncio.Event()
        threads = _quintette.ThreadPool(THREADS)
        server = _quintette.Server(poller, threads=threads, django_sync=handler)
        server.accept_on(self.httpd.socket.fileno())
        self.is_ready.set()
        await self._told_to_stop.wait()
        server.abort()
        for _ in range(round(LAST_SECONDS / POLL_SECONDS)):
            if not server.stats()["in_flight"]:
                break
            await asyncio.sleep(POLL_SECONDS)
        server.close()
        threads.stop(LAST_SECONDS)

    def terminate(self) -> None:
        if self.is_ready.is_set() and self.error is None:
            self._loop.call_soon_threadsafe(self._told_to_stop.set)
            self.join()
            self.httpd.server_close()


def install() -> None:
    import django.test.testcases as testcases

    testcases.LiveServerThread = QuintetteServerThread  # type: ignore[misc]
    testcases.LiveServerTestCase.server_thread_class = QuintetteServerThread
