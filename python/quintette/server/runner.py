"""One worker: a process with an event loop, the server in C on it, and a pool of threads."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from django.conf import settings as django_settings
from django.db import connections

from quintette import _quintette
from quintette.api import after
from quintette.concurrency import patches
from quintette.concurrency.views import PLACES
from quintette.conf import Settings, get_settings
from quintette.db import pool
from quintette.http.request import Request
from quintette.lifespan import Life
from quintette.server import lift, static
from quintette.server.banner import Report
from quintette.server.handler import IDLE_THREADS_MAX, AsyncHandler, SyncHandler
from quintette.server.logs import AccessLog
from quintette.server.metrics import make_metrics, scraping, where
from quintette.server.threads import LeasedThreads, RequestThreads, tidy
from quintette.server.watchdog import watching
from quintette.traffic.proxies import proxies_of

logger = logging.getLogger("quintette.server")

STDOUT = 1
SEED_BYTES = 32
# How often a drain looks whether the last request has gone.
DRAIN_POLL_SECONDS = 0.02
# Bytes; room for the largest body that is kept in memory (DATA_UPLOAD_MAX_MEMORY_SIZE's default),
# its copy for the view, and as much again.
FREED_MEMORY_KEPT = 8 << 20
# What a cancelled task or thread may still take before the process ends without it.
LAST_SECONDS = 1.0


@dataclass(frozen=True)
class Application:
    """The project, loaded: all that can fail has been done. Made before workers are forked."""

    settings: Settings
    sync_handler: SyncHandler
    async_handler: AsyncHandler | None
    router: Any
    report: Report
    mounts: list[static.Mount]
    proxies: _quintette.Proxies | None = None
    metrics: _quintette.Metrics | None = None
    metrics_fd: int = -1
    """A listening socket for who scrapes them; -1: none."""


def load_application(
    settings: Settings, *, static_url: str | None = None, metrics_fd: int = -1
) -> Application:
    counts = settings.metrics is not None or settings.opentelemetry or metrics_fd >= 0
    router, report, has_async = lift.build_router()
    handler = static.StaticFilesSyncHandler(static_url) if static_url else SyncHandler()
    return Application(
        settings=settings,
        sync_handler=handler,
        async_handler=AsyncHandler() if has_async else None,
        router=router,
        report=report,
        mounts=static.mounts(settings),
        proxies=proxies_of(settings),
        metrics=make_metrics(settings, report.plans) if counts else None,
        metrics_fd=metrics_fd,
    )


# HttpRequest.get_host() takes these for an empty ALLOWED_HOSTS with DEBUG.
DEBUG_HOSTS = [".localhost", "127.0.0.1", "[::1]"]


def allowed_hosts() -> list[str]:
    """For typed routes that no CommonMiddleware guards."""
    hosts = list(django_settings.ALLOWED_HOSTS)
    return DEBUG_HOSTS if django_settings.DEBUG and not hosts else hosts


def open_server(
    application: Application,
    poller: Any,
    threads: Any,
    async_threads: RequestThreads,
    access_log: AccessLog = AccessLog.OFF,
) -> Any:
    """The server in C on `poller`, which listens nowhere yet. Its requests get copies of a context
    in which synchronous code of asynchronous typed routes runs in `async_threads`."""
    context = contextvars.copy_context()
    context.run(LeasedThreads(async_threads).enter)
    server = context.run(
        _quintette.Server,
        poller,
        router=application.router,
        django_sync=application.sync_handler,
        django_async=application.async_handler,
        threads=threads,
        limits=application.settings.limits(),
        statics=application.mounts,
        access_log=int(access_log),
        access_log_fd=STDOUT,
        on_error=log_request_error,
        allowed_hosts=allowed_hosts(),
        forwarded_host=django_settings.USE_X_FORWARDED_HOST,
        tidy=tidy,
        on_exhausted=log_exhausted,
        sync_views=PLACES[application.settings.sync_views],
    )
    server.trust(application.proxies)
    observe(server, application)
    return server


def observe(server: Any, application: Application) -> None:
    """What is seen of requests from outside of the project's code."""
    settings, metrics = application.settings, application.metrics
    if metrics is not None:
        if not metrics.claim():
            logger.warning("More processes than expected: this one's requests are not counted")
        server.measure(metrics, *where(settings.metrics), True)
    if settings.request_id_header or settings.opentelemetry:
        seed = os.urandom(SEED_BYTES)
        server.trace(settings.request_id_header or "", settings.request_id_trust, seed)
    if settings.opentelemetry and metrics is not None:
        from quintette import telemetry

        if not telemetry.install(server, metrics):
            logger.warning(
                "QUINTETTE['OPENTELEMETRY'] is on, but opentelemetry-sdk has no TracerProvider"
            )


class Worker:
    """Serves `application` on listening sockets until it is told to stop. Used once."""

    def __init__(self, application: Application, fds: list[int], access_log: AccessLog) -> None:
        self._application = application
        self._fds = fds
        self._access_log = access_log
        self._stops = 0
        self._stopping = asyncio.Event()
        self._stop_now = asyncio.Event()

    def run(
        self,
        on_ready: Callable[[], None],
        *,
        parent_fd: int = -1,
        setup: Callable[[asyncio.AbstractEventLoop], None] | None = None,
    ) -> None:
        """on_ready is called once connections are accepted. When parent_fd reads as ended the
        parent is dead, and the worker stops as by SIGTERM."""
        poller = _quintette.Poller()
        loop = asyncio.SelectorEventLoop(poller)
        poller.bind_loop(loop)
        asyncio.set_event_loop(loop)
        loop.set_exception_handler(_log_loop_error)
        try:
            loop.add_signal_handler(signal.SIGTERM, self.stop)
            # Ctrl-C reaches the whole process group, but the parent decides.
            loop.add_signal_handler(signal.SIGINT, lambda: None)
            if parent_fd >= 0:
                loop.add_reader(parent_fd, self._parent_gone, loop, parent_fd)
            if setup is not None:
                setup(loop)
            loop.run_until_complete(self._serve(poller, on_ready))
        finally:
            _close_loop(loop)

    def stop(self) -> None:
        """The first call drains, the second one does not wait."""
        self._stops += 1
        self._stopping.set()
        if self._stops > 1:
            self._stop_now.set()

    def _parent_gone(self, loop: asyncio.AbstractEventLoop, parent_fd: int) -> None:
        loop.remove_reader(parent_fd)
        self.stop()

    async def _serve(self, poller: Any, on_ready: Callable[[], None]) -> None:
        application = self._application
        settings = application.settings
        threads = _quintette.ThreadPool(settings.thread_count())
        async_threads = RequestThreads(IDLE_THREADS_MAX, tidy)
        server = open_server(application, poller, threads, async_threads, self._access_log)
        life = Life(settings.lifespan_seconds)
        try:
            await life.begin()
            for fd in self._fds:
                server.accept_on(fd)
            # What was loaded stays: the collector need not look at it again.
            gc.collect()
            gc.freeze()
            scraped = scraping(application.metrics, poller, application.metrics_fd)
            with watching(poller, settings.watchdog_ms), scraped:
                on_ready()
                await self._stopping.wait()
                await self._drain(server, settings.drain_seconds)
        finally:
            await _close(server)
            await _end(life)
            if application.async_handler is not None:
                await application.async_handler.aclose()
            async_threads.close()
            threads.stop(LAST_SECONDS)
            await _close_databases()

    async def _drain(self, server: Any, seconds: float) -> None:
        server.drain()
        for fd in self._fds:
            os.close(fd)
        end = time.monotonic() + seconds
        while not server.drained and not self._stop_now.is_set() and time.monotonic() < end:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop_now.wait(), DRAIN_POLL_SECONDS)
        if in_flight := server.stats()["in_flight"]:
            logger.warning("Requests cut off when the server stopped: %d", in_flight)
        if late := await after.finish(max(end - time.monotonic(), 0)):
            logger.warning("Work behind responses cut off when the server stopped: %d", late)


async def _close(server: Any) -> None:
    """Cancels what is still being handled. A thread in the project's code cannot be cancelled:
    the process ends without it."""
    server.abort()
    for _ in range(round(LAST_SECONDS / DRAIN_POLL_SECONDS)):
        if not server.stats()["in_flight"]:
            server.close()
            return
        await asyncio.sleep(DRAIN_POLL_SECONDS)


async def _end(life: Life) -> None:
    """A hook that fails at the end keeps nobody from ending."""
    try:
        await life.end()
    except Exception:
        logger.exception("A shutdown hook failed")


async def _close_databases() -> None:
    try:
        async with asyncio.timeout(LAST_SECONDS):
            await pool.drain()
    except TimeoutError:
        logger.warning("Connections to databases were still being put in order at the end")


def prepare_process() -> None:
    """Once per process that serves, before its first request."""
    _quintette.keep_freed_memory(FREED_MEMORY_KEPT)
    _quintette.set_request_class(Request)
    patches.install()
    if get_settings().sync_views == "greenlet":
        patches.stay_always()


def prepare_fork() -> None:
    """In the parent, before it forks: nothing may be shared that must not be."""
    for connection in connections.all(initialized_only=True):
        connection.close()
    # The collector writes into the objects it visits; frozen ones stay shared.
    gc.collect()
    gc.freeze()


def log_request_error(error: BaseException, request: Request | None = None) -> None:
    """An exception that nobody answered; the client was told 500."""
    where = f"{request.method} {request.path}" if request is not None else "a request"
    logger.error("Unhandled error in %s", where, exc_info=error)


def log_exhausted(error: int) -> None:
    """No connection can be accepted; those that wait do so until it is possible again."""
    logger.error("New connections have to wait: %s", os.strerror(error))


def _log_loop_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    message = context.get("message", "Error on the event loop")
    logger.error("%s", message, exc_info=context.get("exception"))


def _close_loop(loop: asyncio.AbstractEventLoop) -> None:
    try:
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        if tasks:
            loop.run_until_complete(asyncio.wait(tasks, timeout=LAST_SECONDS))
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def exit_process(code: int) -> None:
    """Ends a worker although a thread may still be stuck in the project's code."""
    logging.shutdown()
    os._exit(code)
