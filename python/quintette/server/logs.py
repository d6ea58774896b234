"""Logs: coloured and short on a terminal, one JSON object per line everywhere else."""

from __future__ import annotations

import json
import logging
import os
import sys
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any, TextIO

from django.conf import settings as django_settings

from quintette.logs import RequestIdFilter

ROOT_LOGGER = "quintette"
logger = logging.getLogger("quintette.server")


class AccessLog(IntEnum):
    """As q5_access_style in include/q5/access_log.h."""

    OFF = 0
    TEXT = 1
    JSON = 2
    COLOUR = 3


# What logging itself puts into a record; the rest came in by `extra`.
_STANDARD = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
# What RequestIdFilter adds, empty outside of requests.
_IDS = {"request_id", "trace_id", "span_id"}
_COLOURS = {"DEBUG": "2", "INFO": "32", "WARNING": "33", "ERROR": "1;31", "CRITICAL": "1;41"}


class JSONFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, Any] = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {
            name: value
            for name, value in vars(record).items()
            if name not in _STANDARD
            and isinstance(value, str | int | float | bool)
            and not (name in _IDS and value == "")
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class TerminalFormatter(logging.Formatter):
    def __init__(self, *, colour: bool) -> None:
        super().__init__()
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created).astimezone()
        time = moment.strftime("%H:%M:%S" if self._colour else "%Y-%m-%d %H:%M:%S.%f")[:23]
        level, message = record.levelname, escape_control(record.getMessage())
        if self._colour:
            time = f"\x1b[2m{time}\x1b[0m"
            level = f"\x1b[{_COLOURS.get(level, '0')}m{level}\x1b[0m"
        text = f"{time} {level} {message}"
        if record.exc_info:
            text = f"{text}\n{escape_control(self.formatException(record.exc_info))}"
        return text


def escape_control(text: str) -> str:
    """What a client chose must not forge lines or drive the terminal; our own lines may break."""
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text
    )


def wants_json(log_format: str, stream: TextIO) -> bool:
    return log_format == "json" or (log_format == "auto" and not stream.isatty())


def wants_colour(stream: TextIO) -> bool:
    if os.environ.get("NO_COLOR") or os.environ.get("DJANGO_COLORS") == "nocolor":
        return False
    return bool(os.environ.get("FORCE_COLOR")) or stream.isatty()


def access_style(log_format: str, *, enabled: bool) -> AccessLog:
    if not enabled:
        return AccessLog.OFF
    if wants_json(log_format, sys.stdout):
        return AccessLog.JSON
    return AccessLog.COLOUR if wants_colour(sys.stdout) else AccessLog.TEXT


def configure(log_format: str) -> None:
    """Our own logger, and the project's as far as it has no LOGGING of its own."""
    formatter: logging.Formatter
    if wants_json(log_format, sys.stderr):
        formatter = JSONFormatter()
    else:
        formatter = TerminalFormatter(colour=wants_colour(sys.stderr))
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    handler.addFilter(RequestIdFilter())
    if not django_settings.LOGGING:
        _replace_console(handler)
    ours = logging.getLogger(ROOT_LOGGER)
    if ours.level == logging.NOTSET:
        ours.setLevel(logging.INFO)
    if not ours.hasHandlers():
        ours.addHandler(handler)


def _replace_console(handler: logging.Handler) -> None:
    # Django's default shows nothing at all when DEBUG is off, not even tracebacks.
    django = logging.getLogger("django")
    django.handlers = [h for h in django.handlers if type(h) is not logging.StreamHandler]
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(handler)
        root.setLevel(logging.INFO if django_settings.DEBUG else logging.WARNING)
