"""The cases of messages over connections that stay open."""

from __future__ import annotations

from bench.apps import payloads
from bench.case import Case

CLIENTS = 1000

CASES = [
    Case(
        "ws_echo",
        f"WebSocket echo of {len(payloads.MESSAGE)} bytes, {CLIENTS:,} clients, per message",
        "/echo",
        payloads.MESSAGE.encode(),
        load="websocket",
        message=payloads.MESSAGE,
        connections=CLIENTS,
    ),
    Case(
        "sse_broadcast",
        f"server-sent events to {CLIENTS:,} subscribers, per event and subscriber",
        "/events",
        {"text": payloads.MESSAGE},
        load="events",
        message=payloads.MESSAGE,
        publish="/publish?text=",
        connections=CLIENTS,
    ),
]
