"""The kinds of load: what a server can do at most, and what it does at a rate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.load.messages import events_peak, events_rate, websocket_peak, websocket_rate
from bench.load.openloop import RateRound, openloop
from bench.load.round import Round
from bench.load.wrk import wrk
from bench.server import Server


@dataclass(frozen=True)
class Load:
    peak: Callable[[Server, int, int], Round]
    """Of the server, the core of the load, and seconds."""
    rate: Callable[[Server, int, float, int], RateRound]
    """Of the server, the core of the load, requests a second, and seconds."""


LOADS = {
    "requests": Load(wrk, openloop),
    "websocket": Load(websocket_peak, websocket_rate),
    "events": Load(events_peak, events_rate),
}
