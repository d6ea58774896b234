"""URLconfs for the matcher in C (binding/django/django_urls.c), and its matches as Django's.

``describe`` is called once per ``URLResolver``, when a request first comes into it. What it cannot
prove to match in C as Django matches it, is described by what is to be called in Django.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from django.urls import converters as stock
from django.urls.resolvers import (
    RegexPattern,
    ResolverMatch,
    RoutePattern,
    URLPattern,
    URLResolver,
)

from quintette.server.own import own_method

# How a pattern is matched; binding/django/django_urls.c has the same numbers.
ROUTE, REGEX, MATCH, RESOLVE = range(4)

# A converter's number in C and its expression, by its exact type.
_CONVERTERS: dict[type, tuple[int, str]] = {
    stock.IntConverter: (0, "[0-9]+"),
    stock.StringConverter: (1, "[^/]+"),
    stock.SlugConverter: (2, "[-a-zA-Z0-9_]+"),
    stock.PathConverter: (3, ".+"),
    stock.UUIDConverter: (4, "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"),
}
_UUID = 4
_PARAMETER = re.compile(r"<(?:([^>:]+):)?([^>]+)>")
_PARTS_MAX = 32

# A literal, or a parameter: its name, its converter and that one's number.
Part = str | tuple[str, Any, int]
# One of a resolver's patterns: how, the URLPattern or URLResolver, is it a URLResolver, is it a
# URLPattern, its pattern, is that one to match the whole path, and for ROUTE the parts, for REGEX
# the functions (search, fullmatch).
Child = tuple[int, Any, bool, bool, Any, bool, tuple[Any, ...]]


def describe(resolver: URLResolver) -> tuple[bool, tuple[Child, ...]]:
    """Whether the resolver matches "/" alone, as the root of a URLconf does; its patterns."""
    pattern = resolver.pattern
    is_root = type(pattern) is RegexPattern and vars(pattern).get("_regex") == "^/"
    return is_root and "match" not in vars(pattern), tuple(map(_child, resolver.url_patterns))


def _child(item: Any) -> Child:
    pattern = getattr(item, "pattern", None)
    is_resolver = type(item) is URLResolver
    is_pattern = isinstance(item, URLPattern)
    is_endpoint = bool(getattr(pattern, "_is_endpoint", False))
    how, rest = RESOLVE, ()
    if type(item) in (URLPattern, URLResolver) and "resolve" not in vars(item):
        how, rest = _how(pattern)
    return how, item, is_resolver, is_pattern, pattern, is_endpoint, rest


def _how(pattern: Any) -> tuple[int, tuple[Any, ...]]:
    cls: type = type(pattern)
    if "match" in getattr(pattern, "__dict__", {"match": None}):
        return MATCH, ()
    if cls is RoutePattern and type(pattern._route) is str:
        parts = _parts(pattern)
        return (MATCH, ()) if parts is None else (ROUTE, parts)
    if cls is RegexPattern and type(pattern._regex) is str:
        regex: Any = pattern.regex
        whole = pattern._is_endpoint and regex.pattern.endswith("$")
        return REGEX, (regex.search, regex.fullmatch if whole else None)
    return MATCH, ()


def _parts(pattern: Any) -> tuple[Part, ...] | None:
    """None: some path may be matched in two ways, and which is the regular expression's to say."""
    route = pattern._route
    parts: list[Part] = []
    regex = "^"
    end = 0
    for match in _PARAMETER.finditer(route):
        literal = route[end : match.start()]
        end = match.end()
        converter = pattern.converters.get(match[2])
        number = _number(converter)
        if number is None:
            return None
        parts += [literal, (match[2], converter, number)]
        regex += f"{re.escape(literal)}(?P<{match[2]}>{converter.regex})"
    parts.append(route[end:])
    regex += re.escape(route[end:])
    ends = (rf"{regex}\Z", rf"{regex}\z") if pattern._is_endpoint else (regex,)
    parts = [part for part in parts if part != ""]
    names = [part[0] for part in parts if isinstance(part, tuple)]
    known = pattern._regex in ends and len(parts) <= _PARTS_MAX and len(names) == len(set(names))
    return tuple(parts) if known and _is_plain(parts) else None


def _number(converter: Any) -> int | None:
    known = _CONVERTERS.get(type(converter))
    if known is None or vars(converter) or converter.regex != known[1]:
        return None
    cls = type(converter)
    owner = cls if "to_python" in vars(cls) else stock.StringConverter
    return known[0] if own_method(owner, "to_python") else None


def _is_plain(parts: Sequence[Part]) -> bool:
    """Each parameter ends where its characters end: what follows does not begin with one of them.
    A UUID has one length only."""
    for part, following in pairwise(parts):
        if isinstance(part, str) or part[2] == _UUID:
            continue
        if not isinstance(following, str) or re.match(part[1].regex, following):
            return False
        if part[1].regex == ".+":
            return False
    return True


# --- matches

# Of each URLResolver on the way: itself, its patterns, which of them matched, what was tried in
# resolvers before that one, and the route of that one's pattern unless it is constant.
Failed = list[tuple[int, tuple[Any, ...] | None, Any]]
Step = tuple[Any, tuple[Any, ...], int, Failed | None, str | None]


def resolver_match(
    func: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    captured: dict[str, Any],
    steps: list[Step],
    inner: Any,
) -> ResolverMatch:
    """What URLResolver.resolve gives. `inner` is the match of a last pattern that resolved by
    itself, else None."""
    last: Any = steps[-1][1][steps[-1][2]]
    extra = inner.extra_kwargs if inner else last.default_args
    app_names: list[Any] = list(inner.app_names) if inner else []
    namespaces: list[Any] = list(inner.namespaces) if inner else []
    tried: Any = inner.tried if inner else None
    route: Any = inner.route if inner else _route(steps[-1], last)
    for step in reversed(steps):
        resolver, items, index, failed, _ = step
        item = items[index]
        found = [[item]] if tried is None else [[item, *trace] for trace in tried]
        tried = [*_tried(items[:index], failed), *found]
        route = _join("" if isinstance(item, URLPattern) else _route(step, item), route)
        app_names.insert(0, resolver.app_name)
        namespaces.insert(0, resolver.namespace)
        extra = {**resolver.default_kwargs, **extra}
    return ResolverMatch(
        func,
        args,
        kwargs,
        inner.url_name if inner else last.pattern.name,
        app_names,
        namespaces,
        route,
        tried,
        captured_kwargs=inner.captured_kwargs if inner else captured,
        extra_kwargs=extra,
    )


def _tried(items: Sequence[Any], failed: Failed | None) -> list[list[Any]]:
    inside = {index: (children, more) for index, children, more in failed or ()}
    tried: list[list[Any]] = []
    for index, item in enumerate(items):
        if index not in inside:
            tried.append([item])
            continue
        children, more = inside[index]
        traces = more if children is None else _tried(children, more)
        tried.extend([item, *trace] for trace in traces)
    return tried


def _route(step: Step, item: Any) -> str:
    return str(item.pattern) if step[4] is None else step[4]


def _join(first: str, second: str) -> str:
    return first + second.removeprefix("^") if first else second
