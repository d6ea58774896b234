"""What a case is: one request, and how its answer is checked."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import Message
from typing import Any


@dataclass(frozen=True)
class Case:
    """A request, and the answer that every server must give to it."""

    name: str
    title: str
    path: str
    answer: Any
    """Parsed JSON, or the exact bytes."""
    method: str = "GET"
    body: bytes = b""
    content_type: str = ""
    cookie: str = ""
    fields: dict[str, str] = field(default_factory=dict)
    """More fields of the request."""
    answer_fields: dict[str, str] = field(default_factory=dict)
    """What the answer's head must say, too."""
    needs: str = ""
    """The field of the request without which the answer must be 401."""
    without: frozenset[str] = frozenset()
    """The peers that leave out what the case is about, and so answer without it."""
    load: str = "requests"
    """What it is measured with: a key of ``bench.load.kinds.LOADS``."""
    message: str = ""
    """What is sent where that is messages: the generators' have its length."""
    publish: str = ""
    """The path by which an event is published, to which its text is appended."""
    connections: int = 64
    environment: dict[str, str] = field(default_factory=dict)
    """What the servers of this case are started with."""
    path_of: dict[str, str] = field(default_factory=dict)
    """Another path of a peer that has no free choice of it."""
    canonical: Callable[[bytes], bytes] = bytes
    """One of several right spellings of an answer that is compared as bytes."""
    database: str = ""
    """``postgresql`` or ``sqlite``: which of the bench's databases it is about."""
    away_ms: float = 0.0
    """How much longer a round trip to the database takes than it does on this machine."""
    adds: int = 0
    """What one request must add to the sum of the database's counters."""

    def path_for(self, peer: str) -> str:
        return self.path_of.get(peer, self.path)

    def headers(self) -> dict[str, str]:
        named = {"Content-Type": self.content_type, "Cookie": self.cookie}
        return {name: value for name, value in named.items() if value} | self.fields

    def missing(self, peer: str, head: Message) -> str | None:
        """Which field of a peer's answer is not what it must be, or None."""
        if peer in self.without:
            return None
        for name, value in self.answer_fields.items():
            if head.get(name) != value:
                return f"answers {name}: {head.get(name)}, not {value}"
        return None

    def wrong(self, body: bytes) -> str | None:
        """What is wrong with an answer, or None."""
        if isinstance(self.answer, bytes):
            right = self.canonical(body) == self.answer
        else:
            try:
                right = json.loads(body) == self.answer
            except ValueError:
                right = False
        return None if right else f"answers {body[:80]!r}, which is not what the case expects"
