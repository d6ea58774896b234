"""A URLconf, flattened, in the order in which Django's resolver looks at it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import RoutePattern

_PARAMETER = re.compile(r"<(?:(?P<converter>[^>:]+):)?[^>]+>")
# What Django's own converters accept, as different from one another as can be.
_SAMPLES = {
    "int": ("0", "7", "987654321"),
    "str": ("x", "7", "a.b~c"),
    "slug": ("x", "7", "a-b_c"),
    "uuid": ("00000000-0000-0000-0000-000000000000", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"),
    "path": ("x", "x/7/y.z", "a-b/"),
}


@dataclass(frozen=True)
class Leaf:
    """A URL pattern with all that stands before it."""

    path: str
    """As it is written, from the root on: ``/cities/<int:pk>``, or ``/^old/(\\d+)$``."""
    callback: Any
    name: str
    """For ``reverse()``, namespaces included; may be empty."""
    route: str
    """As ``ResolverMatch.route`` says it."""
    prefix: str
    """What each of its paths begins with."""
    is_plain: bool
    """Of ``path()`` alone, without regular expressions and language prefixes."""

    @property
    def endpoint(self) -> Any:
        """Of a typed API, else None."""
        return getattr(self.callback, "quintette_endpoint", None)

    def samples(self) -> list[str]:
        """Paths that the pattern matches; none where that cannot be told."""
        if not self.is_plain:
            return []
        kinds = [match["converter"] or "str" for match in _PARAMETER.finditer(self.path)]
        if not all(kind in _SAMPLES for kind in kinds):
            return []
        count = max((len(_SAMPLES[kind]) for kind in kinds), default=1)
        return [self._sample(number) for number in range(count)]

    def _sample(self, number: int) -> str:
        def value(match: re.Match[str]) -> str:
            choices = _SAMPLES[match["converter"] or "str"]
            return choices[number % len(choices)]

        return _PARAMETER.sub(value, self.path)


def leaves(resolver: URLResolver | None = None) -> list[Leaf]:
    root = resolver or get_resolver()
    return list(_walk(root.url_patterns, "/", "", (), "/", is_plain=True))


def _walk(
    items: Sequence[Any],
    path: str,
    route: str,
    namespaces: tuple[str, ...],
    fixed: str,
    *,
    is_plain: bool,
) -> Iterator[Leaf]:
    for item in items:
        text = str(item.pattern)
        plain = is_plain and isinstance(item.pattern, RoutePattern)
        more_route = route + text.removeprefix("^") if route else text
        more_fixed = path + text if plain else fixed
        if isinstance(item, URLResolver):
            spaces = (*namespaces, item.namespace) if item.namespace else namespaces
            yield from _walk(
                item.url_patterns, path + text, more_route, spaces, more_fixed, is_plain=plain
            )
        elif isinstance(item, URLPattern):
            name = ":".join((*namespaces, str(item.name))) if item.name else ""
            whole = path + text
            prefix = (whole if plain else fixed).partition("<")[0]
            yield Leaf(whole, item.callback, name, more_route, prefix, plain)
