"""Typed routes of a URLconf, put into the router in C.

A route is lifted only where nothing else can be meant by its path: where an earlier pattern of the
URLconf might match it too, or a prefix is a regular expression, Django's resolver decides as ever.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from django.conf import settings
from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.converters import get_converters
from django.urls.resolvers import RoutePattern

from quintette import _quintette
from quintette.api.patterns import BUILT_IN, Pattern, PatternError, Segment, parse
from quintette.api.plans import THREAD
from quintette.api.view import Endpoint
from quintette.server import stack


@dataclass(frozen=True)
class Lifted:
    method: str
    path: str
    name: str
    plan: _quintette.Plan

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True)
class Kept:
    """A route that Django's view serves."""

    path: str
    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path} ({self.name}): {self.reason}"


@dataclass
class Report:
    routes: list[Lifted] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)


@dataclass(frozen=True)
class _Leaf:
    """A URL pattern with all that stands before it."""

    callback: Any
    name: str
    text: str
    pattern: Pattern | None
    """None: matched in Python."""
    prefix: str
    """Static text that every path of it begins with."""
    reason: str


def lift(resolver: URLResolver | None = None) -> tuple[_quintette.Router | None, Report]:
    """The router, None when nothing was lifted, and what became of each route."""
    report = Report()
    router = _quintette.Router()
    converters: set[str] = set()
    earlier: list[tuple[_Leaf, bool]] = []
    for leaf in _leaves(resolver or get_resolver()):
        endpoint = getattr(leaf.callback, "quintette_endpoint", None)
        if endpoint is None:
            earlier.append((leaf, False))
            continue
        reason = (
            leaf.reason or _around(endpoint) or _missing(leaf, endpoint) or _shadow(leaf, earlier)
        )
        if not reason:
            try:
                _add(router, converters, leaf, endpoint, report)
            except (ValueError, KeyError) as error:
                reason = str(error)
        if reason:
            report.kept.append(Kept(leaf.text, leaf.name, reason))
        earlier.append((leaf, not reason))
    return (router if report.routes else None), report


# --- the URLconf, flattened -------------------------------------------------------------


def _leaves(resolver: URLResolver) -> Iterator[_Leaf]:
    # The root's own pattern is the regular expression "^/".
    yield from _walk(resolver.url_patterns, Pattern((Segment(text="/"),)), "/", "/", "")


def _walk(
    items: list[Any], pattern: Pattern | None, text: str, prefix: str, reason: str
) -> Iterator[_Leaf]:
    for item in items:
        more_text, more, more_reason = text + str(item.pattern), None, reason
        if pattern is not None and isinstance(item.pattern, RoutePattern):
            try:
                more = pattern + parse(str(item.pattern))
            except PatternError as error:
                more_reason = str(error)
        elif not reason:
            more_reason = f"{type(item.pattern).__name__} is matched in Python"
        more_prefix = _static_prefix(more) if more is not None else prefix
        if isinstance(item, URLResolver):
            if item.default_kwargs:
                more_reason = more_reason or "the URLconf passes extra arguments"
            yield from _walk(item.url_patterns, more, more_text, more_prefix, more_reason)
        elif isinstance(item, URLPattern):
            callback = item.callback
            name = str(item.name or getattr(callback, "__name__", ""))
            yield _Leaf(callback, name, more_text, more, more_prefix, more_reason)


def _static_prefix(pattern: Pattern) -> str:
    first = pattern.segments[0] if pattern.segments else Segment()
    return "" if first.name else first.text


# --- who comes first --------------------------------------------------------------------


def _shadow(leaf: _Leaf, earlier: list[tuple[_Leaf, bool]]) -> str:
    """Why Django would, or might, not take this leaf for one of its paths."""
    assert leaf.pattern is not None
    for other, lifted in earlier:
        if not _may_overlap(leaf, other):
            continue
        if lifted and other.pattern is not None:
            # Both are in the router: it prefers the narrower one, Django the earlier.
            if other.pattern.order <= leaf.pattern.order:
                continue
            return f"{other.text} comes first and is wider"
        if other.callback is not None and _same_endpoint(leaf, other):
            continue
        return f"{other.text} comes first and may match the same path"
    return ""


def _same_endpoint(leaf: _Leaf, other: _Leaf) -> bool:
    endpoint = getattr(leaf.callback, "quintette_endpoint", None)
    return endpoint is not None and endpoint is getattr(other.callback, "quintette_endpoint", None)


def _may_overlap(one: _Leaf, other: _Leaf) -> bool:
    if not (one.prefix.startswith(other.prefix) or other.prefix.startswith(one.prefix)):
        return False
    if one.pattern is None or other.pattern is None:
        return True
    if _spans_segments(one.pattern) or _spans_segments(other.pattern):
        return True
    pieces, others = _pieces(one.pattern), _pieces(other.pattern)
    if len(pieces) != len(others):
        return False
    return all(_piece_may_overlap(a, b) for a, b in zip(pieces, others, strict=True))


def _spans_segments(pattern: Pattern) -> bool:
    """Some parameter may hold a slash."""
    return any(
        segment.name and (segment.converter or "str") not in BUILT_IN - {"path"}
        for segment in pattern.segments
    )


def _pieces(pattern: Pattern) -> list[list[Segment]]:
    """What stands between slashes."""
    pieces: list[list[Segment]] = [[]]
    for segment in pattern.segments:
        if segment.name:
            pieces[-1].append(segment)
            continue
        first, *rest = segment.text.split("/")
        if first:
            pieces[-1].append(Segment(text=first))
        pieces.extend([Segment(text=text)] if text else [] for text in rest)
    return pieces


def _piece_may_overlap(one: list[Segment], other: list[Segment]) -> bool:
    static, dynamic = [not any(s.name for s in piece) for piece in (one, other)]
    if static and dynamic:
        return [s.text for s in one] == [s.text for s in other]
    if not static and not dynamic:
        return True
    fixed, free = (one, other) if static else (other, one)
    text = "".join(segment.text for segment in fixed)
    return bool(re.fullmatch(_regex(free), text))


def _regex(piece: list[Segment]) -> str:
    converters = get_converters()
    return "".join(
        f"(?:{converters[segment.converter or 'str'].regex})"
        if segment.name
        else re.escape(segment.text)
        for segment in piece
    )


def _around(endpoint: Endpoint) -> str:
    """What Django would run around the view and the server cannot."""
    for served in endpoint.routes.values():
        mounted = served.mounted
        in_thread = mounted.builder.kind == THREAD
        reason = stack.reason_to_keep(mounted.middleware, mounted.takes_request, in_thread)
        if reason:
            return reason
    for alias, database in settings.DATABASES.items():
        if database.get("ATOMIC_REQUESTS") and alias not in endpoint.non_atomic:
            return f"ATOMIC_REQUESTS is set for the database {alias!r}"
    return ""


def _missing(leaf: _Leaf, endpoint: Endpoint) -> str:
    """All methods of a path are lifted or none: the server answers 405 for the others."""
    assert leaf.pattern is not None
    own: Pattern = leaf.callback.quintette_pattern
    outer = leaf.pattern.names[: len(leaf.pattern.names) - len(own.names)]
    for served in endpoint.routes.values():
        for name in served.path_names[len(own.names) :]:
            if name not in outer:
                return f"nothing in the path is called {name!r}"
    return ""


# --- into the router --------------------------------------------------------------------


def _add(
    router: _quintette.Router,
    converters: set[str],
    leaf: _Leaf,
    endpoint: Endpoint,
    report: Report,
) -> None:
    pattern = leaf.pattern
    assert pattern is not None
    for name in pattern.names:
        _add_converter(router, converters, pattern.converter_of(name))
    own: Pattern = leaf.callback.quintette_pattern
    done = {(lifted.method, lifted.path) for lifted in report.routes}
    for method, served in endpoint.routes.items():
        path = "/" + pattern.django
        if served.mounted.pattern != own or (method, path) in done:
            continue  # lifted with the URL pattern that has its names
        done.add((method, path))
        around = [stack.Stack(served.mounted.middleware)]
        plan = served.mounted.plan(pattern.names, served.on_error, around)
        for prefix in _script_prefixes():
            router.add(method, prefix + path, plan)
        report.routes.append(Lifted(method, path, served.mounted.route.name, plan))


def _script_prefixes() -> list[str]:
    """A proxy may have taken FORCE_SCRIPT_NAME away or left it."""
    name = (settings.FORCE_SCRIPT_NAME or "").rstrip("/")
    return ["", name] if name else [""]


def _add_converter(router: _quintette.Router, known: set[str], name: str) -> None:
    if name in BUILT_IN or name in known:
        return
    router.add_converter(name, _accepts(get_converters()[name]))
    known.add(name)


def _accepts(converter: Any) -> Callable[[str], bool]:
    regex = re.compile(converter.regex)

    def accepts(segment: str) -> bool:
        text = unquote(segment, errors="strict") if "%" in segment else segment
        if not regex.fullmatch(text):
            return False
        try:
            converter.to_python(text)
        except ValueError:
            return False
        return True

    return accepts
