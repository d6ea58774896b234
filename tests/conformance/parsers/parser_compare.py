"""What two readings of one stream disagree on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from parser_readers import Message, Reading

# "we accept", "they accept": a head. "we end", "they end": the body's end was found by one only.
# The others: an attribute of a request that both have in full.
Kind = Literal[
    "we accept", "they accept", "we end", "they end",
    "method", "target", "version", "fields", "body", "persists",
]  # fmt: skip

ATTRIBUTES: tuple[Kind, ...] = ("method", "target", "version", "fields", "body", "persists")


@dataclass(frozen=True)
class Disagreement:
    kind: Kind
    peer: str
    data: bytes
    """The whole stream."""
    number: int
    """Of the request in it."""
    ours: Reading
    theirs: Reading

    @property
    def refusal(self) -> str:
        """Why one side refuses what the other takes; "" where both take it."""
        if self.kind in ("they accept", "they end"):
            return self.ours.why
        return self.theirs.why if self.kind in ("we accept", "we end") else ""

    @property
    def bytes(self) -> bytes:
        """Of the stream: from the request's first byte to the one at which we refused it, or to its
        end."""
        start = self.ours.messages[self.number - 1].end_at if self.number else 0
        ended = (
            self.ours.messages[self.number].end_at if self.number < len(self.ours.messages) else 0
        )
        return self.data[start : ended or self.ours.refused_at or len(self.data)]

    @property
    def message(self) -> Message:
        """The request as the one that has it, or has more of it, read it."""
        with_it = self.theirs if self.kind in ("they accept", "they end") else self.ours
        return with_it.messages[self.number]

    def __str__(self) -> str:
        return (
            f"{self.kind} ({self.peer}, request {self.number})\n  {self.data!r}\n"
            f"  ours:   {self.ours}\n  theirs: {self.theirs}"
        )


def compare(peer: str, data: bytes, ours: Reading, theirs: Reading) -> Iterator[Disagreement]:
    """Disagreements on the first request that they read differently; what follows is its
    consequence. `ours` has offsets.

    A stream that is refused and one that waits for more are the same here: nothing more has been
    handed on. What a refused line would have become shows in other streams, where it is complete.
    """
    for number in range(max(len(ours.messages), len(theirs.messages))):
        mine = ours.messages[number] if number < len(ours.messages) else None
        other = theirs.messages[number] if number < len(theirs.messages) else None
        kinds = list(_kinds(mine, other))
        for kind in kinds:
            yield Disagreement(kind, peer, data, number, ours, theirs)
        if kinds:
            return


def _kinds(mine: Message | None, other: Message | None) -> Iterator[Kind]:
    if mine is None or other is None:
        yield "they accept" if mine is None else "we accept"
        return
    for attribute in ATTRIBUTES:
        both = mine.complete and other.complete
        if not both and attribute in ("body", "persists"):
            continue
        if getattr(mine, attribute) != getattr(other, attribute):
            yield attribute
    if mine.complete != other.complete:
        yield "we end" if mine.complete else "they end"
