"""The ``QUINTETTE`` setting: one dictionary, every key with a default, every mistake named."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Annotated, Literal

import msgspec
from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError
from django.core.signals import setting_changed
from msgspec import Meta

from quintette.faulty import faults

# Processes of a server, threads of a process; the upper bounds are those of the server in C.
COUNT_MAX = 1024
DAY_SECONDS = 86_400

Count = Annotated[int, Meta(ge=1, le=COUNT_MAX)]
Bytes = Annotated[int, Meta(ge=1, le=2**63 - 1)]
BytesPerSecond = Annotated[int, Meta(ge=0, le=2**30)]
# Not one that frames the message.
_FRAMING = "(?i:connection|content-length|date|keep-alive|transfer-encoding)"
FieldName = Annotated[str, Meta(pattern=rf"^(?!{_FRAMING}\Z)[A-Za-z0-9-]{{1,64}}\Z")]
Seconds = Annotated[float, Meta(gt=0, le=DAY_SECONDS)]


class CorsSettings(msgspec.Struct, frozen=True, kw_only=True, rename="upper"):
    """``QUINTETTE["CORS"]``; quintette.traffic.CORS says what each means. None: its default."""

    origins: list[str] = []
    origin_regexes: list[str] = []
    methods: list[str] | None = None
    headers: list[str] | None = None
    credentials: bool = False
    max_age: int | None = None
    expose: list[str] = []
    private_network: bool = False


class MetricsSettings(msgspec.Struct, frozen=True, kw_only=True, rename="upper"):
    """``QUINTETTE["METRICS"]``."""

    path: Annotated[str, Meta(pattern=r"^/[!-~]{0,255}\Z")] = "/metrics"
    allow: Annotated[tuple[str, ...], Meta(max_length=64)] = ("127.0.0.1", "::1")


class Settings(msgspec.Struct, frozen=True, kw_only=True, rename="upper"):
    """``QUINTETTE`` once it was read. docs/settings.md says what each key means."""

    # Processes and threads
    workers: Count | Literal["auto"] = 1
    threads: Count | None = None
    sync_views: Literal["thread", "greenlet", "inline"] = "thread"
    backlog: Annotated[int, Meta(ge=1, le=65_535)] = 2048
    drain_seconds: Annotated[float, Meta(ge=0, le=DAY_SECONDS)] = 30.0
    lifespan_seconds: Annotated[float, Meta(gt=0, le=DAY_SECONDS)] = 30.0

    # Logs
    access_log: bool = True
    log_format: Literal["auto", "text", "json"] = "auto"
    request_id_header: FieldName | None = "X-Request-ID"
    request_id_trust: bool = False

    # Seen from outside
    metrics: MetricsSettings | None = None
    opentelemetry: bool = False

    # Proxies in front: networks, or "unix"
    trusted_proxies: Annotated[list[str], Meta(max_length=1000)] | None = None
    forwarded_header: Literal["X-Forwarded-For", "Forwarded"] = "X-Forwarded-For"

    # Of the whole project, by quintette.middleware.CORSMiddleware
    cors: CorsSettings | None = None

    # Queries
    watch_queries: bool | None = None
    server_timing: bool | None = None
    repeated_queries_min: Annotated[int, Meta(ge=2, le=100_000)] = 5
    slow_query_ms: Annotated[float, Meta(ge=0, le=86_400_000)] | None = None

    # Of the event loop: what holds it longer is logged
    watchdog_ms: Annotated[float, Meta(ge=0, le=60_000)] | None = 50

    # Files
    serve_static: bool | None = None
    serve_media: bool = False
    static_cache_control: Annotated[str, Meta(pattern=r"^[ -~]*\Z")] = ""

    # Limits
    body_max_bytes: Bytes = 10 * 1024 * 1024
    spool_bytes: Bytes = 2_500_000
    request_line_bytes: Annotated[int, Meta(ge=1, le=2**20)] = 8 * 1024
    head_bytes: Annotated[int, Meta(ge=1, le=2**24)] = 32 * 1024
    head_fields: Annotated[int, Meta(ge=1, le=128)] = 100
    head_seconds: Seconds = 10.0
    body_idle_seconds: Seconds = 30.0
    body_floor_bytes_per_second: BytesPerSecond = 240
    write_idle_seconds: Seconds = 30.0
    write_floor_bytes_per_second: BytesPerSecond = 240
    keep_alive_seconds: Seconds = 15.0
    requests_per_connection: Annotated[int, Meta(ge=1, le=2**32 - 1)] = 1000
    connections_max: Annotated[int, Meta(ge=1, le=2**20)] = 10_000
    memory_max_bytes: Bytes | None = None
    response_cache_bytes: Bytes = 64 * 1024 * 1024
    allow_underscore_headers: bool = False

    # WebSockets
    websocket_message_bytes: Annotated[int, Meta(ge=1, le=2**30)] = 1024 * 1024
    websocket_fragments: Annotated[int, Meta(ge=1, le=2**20)] = 1024
    websocket_ping_seconds: Seconds = 20.0
    websocket_pong_seconds: Seconds = 20.0
    websocket_close_seconds: Seconds = 5.0
    websocket_compression: bool = True

    def worker_count(self) -> int:
        return _cpus() if self.workers == "auto" else self.workers

    def thread_count(self) -> int:
        return self.threads or min(32, _cpus() + 4)

    def limits(self) -> dict[str, int]:
        """What the server in C calls these limits: bytes, milliseconds, counts."""
        limits = {
            "body_max": self.body_max_bytes,
            "spool_min": self.spool_bytes,
            "line_max": self.request_line_bytes,
            "head_max": self.head_bytes,
            "fields_max": self.head_fields,
            "head_timeout_msec": _msec(self.head_seconds),
            "body_idle_msec": _msec(self.body_idle_seconds),
            "body_floor_per_s": self.body_floor_bytes_per_second,
            "write_idle_msec": _msec(self.write_idle_seconds),
            "write_floor_per_s": self.write_floor_bytes_per_second,
            "keep_alive_msec": _msec(self.keep_alive_seconds),
            "requests_max": self.requests_per_connection,
            "connections_max": self.connections_max,
            "allow_underscore": int(self.allow_underscore_headers),
            "websocket_message_max": self.websocket_message_bytes,
            "websocket_fragments_max": self.websocket_fragments,
            "websocket_ping_msec": _msec(self.websocket_ping_seconds),
            "websocket_pong_msec": _msec(self.websocket_pong_seconds),
            "websocket_close_msec": _msec(self.websocket_close_seconds),
            "websocket_compress": int(self.websocket_compression),
        }
        if self.memory_max_bytes is not None:
            limits["memory_max"] = self.memory_max_bytes
        return limits


def get_settings() -> Settings:
    """The settings of this project. ImproperlyConfigured names the key that is wrong."""
    return _read()


class SettingsError(ImproperlyConfigured, CommandError):
    """``faults``: each key that is wrong, in a sentence. Management commands show it as it is, also
    where the URLconf asks for a setting before the system checks do."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


def parse(value: object) -> Settings:
    if not isinstance(value, dict):
        raise SettingsError([f"QUINTETTE must be a dict, not {type(value).__name__}."])
    found = faults(value, Settings, "QUINTETTE")
    if found:
        raise SettingsError(found)
    return msgspec.convert(value, Settings)


@lru_cache(maxsize=1)
def _read() -> Settings:
    return parse(getattr(django_settings, "QUINTETTE", {}))


def _cpus() -> int:
    # What this process may use, where the system can tell (cgroups are not asked).
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _msec(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _forget(*, setting: str, **_kwargs: object) -> None:
    if setting == "QUINTETTE":
        _read.cache_clear()


setting_changed.connect(_forget, dispatch_uid="quintette.conf")
