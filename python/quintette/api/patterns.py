"""Paths of routes: ``/cities/{id:int}``, or ``<int:id>`` as Django spells it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any
from uuid import UUID

from django.urls.converters import get_converters

_PARAMETER = re.compile(
    r"\{(?P<name>\w+)(?::(?P<converter>\w+))?\}|<(?:(?P<converter2>\w+):)?(?P<name2>\w+)>"
)
# Narrower before wider, as binding's router tries them.
_RANKS = {"int": 1, "uuid": 2, "slug": 3, "str": 5, "path": 6}
_CUSTOM_RANK = 4
BUILT_IN = frozenset(_RANKS)


class PatternError(ValueError):
    pass


@dataclass(frozen=True)
class Segment:
    """Static text, or a parameter when it has a name."""

    text: str = ""
    name: str = ""
    converter: str | None = None
    """None: to be chosen by the annotation."""


@dataclass(frozen=True)
class Pattern:
    segments: tuple[Segment, ...]

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(segment.name for segment in self.segments if segment.name)

    def converter_of(self, name: str) -> str:
        for segment in self.segments:
            if segment.name == name:
                return segment.converter or "str"
        return "str"

    @cached_property
    def django(self) -> str:
        """In Django's spelling, without a leading slash."""
        text = "".join(
            f"<{segment.converter or 'str'}:{segment.name}>" if segment.name else segment.text
            for segment in self.segments
        )
        return text.removeprefix("/")

    @cached_property
    def shape(self) -> str:
        """Equal for patterns that match the same paths, whatever their names."""
        return "".join(
            f"<{segment.converter or 'str'}>" if segment.name else segment.text
            for segment in self.segments
        )

    @cached_property
    def order(self) -> tuple[int, ...]:
        """Sorts patterns as the router in C prefers them: static text, then narrow converters."""
        ranks: list[int] = []
        for segment in self.segments:
            if segment.name:
                ranks.append(_RANKS.get(segment.converter or "str", _CUSTOM_RANK))
            else:
                ranks.extend([0] * len(segment.text))
        # A parameter that text follows in its segment is tried before one that ends it.
        return (*ranks, 7)

    def __add__(self, other: Pattern) -> Pattern:
        return join(self, other)

    def infer(self, annotations: dict[str, Any]) -> Pattern:
        """Chooses converters for parameters that name none."""
        return Pattern(
            tuple(
                replace(segment, converter=_converter_for(annotations.get(segment.name)))
                if segment.name and segment.converter is None
                else segment
                for segment in self.segments
            )
        )


def _converter_for(base: Any) -> str:
    if base is int:
        return "int"
    return "uuid" if base is UUID else "str"


def parse(text: str) -> Pattern:
    segments: list[Segment] = []
    at = 0
    for match in _PARAMETER.finditer(text):
        _add_text(segments, text[at : match.start()])
        name = match["name"] or match["name2"]
        converter = match["converter"] or match["converter2"]
        if converter is not None and converter not in get_converters():
            raise PatternError(f"unknown converter {converter!r} in {text!r}")
        if any(segment.name == name for segment in segments):
            raise PatternError(f"{name!r} occurs twice in {text!r}")
        segments.append(Segment(name=name, converter=converter))
        at = match.end()
    _add_text(segments, text[at:])
    return Pattern(tuple(segments))


def _add_text(segments: list[Segment], text: str) -> None:
    if any(character in text for character in "{}<> ?#"):
        raise PatternError(f"malformed path near {text!r}")
    if text:
        segments.append(Segment(text=text))


def join(first: Pattern, second: Pattern) -> Pattern:
    """One after the other, neighbouring texts merged."""
    segments = list(first.segments)
    for segment in second.segments:
        if not segment.name and segments and not segments[-1].name:
            segments[-1] = Segment(text=segments[-1].text + segment.text)
        else:
            segments.append(segment)
        if segment.name and sum(other.name == segment.name for other in segments) > 1:
            raise PatternError(f"{segment.name!r} occurs twice in a path")
    return Pattern(tuple(segments))
