"""What the extension is told of a WebSocket route. Import time only."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec
from django.conf import settings

from quintette.api import answer, types
from quintette.api.encoding import encode_json

# Shared with binding/websocket/websocket.h.
JSON: Final = 0
TEXT: Final = 1
BYTES: Final = 2

_COMPRESSIONS: Final[dict[bool | str, int]] = {False: 0, True: 1, "context": 2}
_ORIGIN = re.compile(r"(\*|null|https?://(\*\.)?[^/*\s]+)\Z")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")


@dataclass(frozen=True)
class Opening:
    """What a route says of its handshakes."""

    origins: tuple[str, ...] = ()
    """Beside the same host's, and CSRF_TRUSTED_ORIGINS."""
    subprotocols: tuple[str, ...] = ()
    compression: bool | Literal["context"] = True

    def check(self) -> None:
        for origin in self.origins:
            if not _ORIGIN.match(origin):
                raise ValueError(
                    f"{origin!r} is no origin, which looks like 'https://example.com' or "
                    f"'https://*.example.com'; '*' is any"
                )
        for name in self.subprotocols:
            if not _TOKEN.match(name):
                raise ValueError(f"{name!r} cannot be the name of a subprotocol")
        if self.compression not in _COMPRESSIONS:
            raise ValueError(f"compression is True, False or 'context', not {self.compression!r}")


def kind_of(tp: Any) -> int:
    """Of messages of this type."""
    members = [types.strip(member) for member in types.members(tp)]
    if set(members) <= {str, bytes}:
        return (TEXT if str in members else 0) | (BYTES if bytes in members else 0)
    return JSON


def compiled(
    opening: Opening, received: Any, sent: Any, decoder: Callable[[Any], Callable[[bytes], Any]]
) -> tuple[Any, ...]:
    """As binding/websocket/websocket_plan.c reads it."""
    kind = kind_of(received)
    return (
        kind,
        kind_of(sent),
        decoder(received) if kind == JSON else None,
        encode_json,
        (*opening.origins, *settings.CSRF_TRUSTED_ORIGINS),
        opening.subprotocols,
        refuse,
        _is_invalid,
        _COMPRESSIONS[opening.compression],
    )


def refuse(status: int, detail: str) -> answer.Answer:
    headers = {"Upgrade": "websocket", "Sec-WebSocket-Version": "13"} if status == 426 else None
    return answer.problem(status, detail, headers=headers)


def elsewhere(is_handshake: bool) -> answer.Answer:
    """What other servers answer. They may not send Upgrade, which is a server's own."""
    if is_handshake:
        return answer.problem(
            501, "WebSockets are served by manage.py serve, on routes that it lifts"
        )
    return answer.problem(426, "this resource is a WebSocket")


def _is_invalid(error: Exception) -> bool | None:
    """The message is JSON, but not what was declared. None: that is no fault of the client's, who
    is not told of it (as in faults.py)."""
    if isinstance(error, msgspec.DecodeError):
        return isinstance(error, msgspec.ValidationError)
    return True if isinstance(error, ValueError) else None
