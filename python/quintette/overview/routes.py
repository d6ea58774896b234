"""The table of a project's routes: who answers what, where it runs, and what runs in C."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from django.urls import Resolver404, URLResolver, get_resolver

from quintette.api import lift
from quintette.api.plans import ASYNC, LOOP
from quintette.concurrency.views import PLACES, place_of
from quintette.conf import get_settings
from quintette.overview.handlers import Handler, handler_of, methods_of
from quintette.overview.leaves import Leaf, leaves
from quintette.server.views import find_placed_views


@dataclass(frozen=True)
class Row:
    methods: tuple[str, ...]
    """Empty: what the view takes is the view's to say."""
    path: str
    name: str
    handler: Handler
    kind: str
    """typed or plain"""
    runs: str
    """loop, async, thread, greenlet or inline"""
    in_c: bool
    """Answered without Django's handler, under ``serve``."""
    reason: str
    """Why not, of a typed route."""
    guards: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        row = asdict(self)
        row["handler"] = {**row["handler"], "place": self.handler.place}
        return row

    @property
    def native(self) -> str:
        if self.kind == "plain":
            return "-"
        return "yes" if self.in_c else f"no: {self.reason}"


@dataclass(frozen=True)
class Answer:
    """Who answers a request."""

    leaf: Leaf | None
    rows: list[Row]
    reason: str = ""
    """Why nobody does."""


class Routes:
    def __init__(self, resolver: URLResolver | None = None) -> None:
        self._resolver = resolver or get_resolver()
        self.leaves = leaves(self._resolver)
        _, report = lift(self._resolver)
        self._lifted = {(item.method, item.path) for item in report.routes}
        self._kept = {(item.path, item.name): item.reason for item in report.kept}
        self._placed = {id(view.callback): view for view in find_placed_views()}
        self.rows = [row for leaf in self.leaves for row in self.rows_of(leaf)]

    def rows_of(self, leaf: Leaf) -> list[Row]:
        return list(self._typed(leaf)) if leaf.endpoint else [self._plain(leaf)]

    def answering(self, path: str, method: str = "GET") -> Answer:
        """Which URL pattern Django's resolver takes; the router in C agrees with it where it has
        the route."""
        try:
            found = self._resolver.resolve(path)
        except Resolver404:
            return Answer(None, [], "no pattern matches")
        same = [leaf for leaf in self.leaves if leaf.callback is found.func]
        leaf = next((leaf for leaf in same if leaf.route == found.route), same[0] if same else None)
        if leaf is None:
            return Answer(None, [], f"{found.route} does not say which view it leads to")
        # A typed endpoint has a pattern per name; the first of them is resolved.
        endpoint = leaf.endpoint
        family = [one for one in self.leaves if endpoint and one.endpoint is endpoint] or [leaf]
        rows = [row for one in family for row in self.rows_of(one) if _takes(row, method)]
        return Answer(leaf, rows, "" if rows else f"{leaf.path} does not take {method}")

    def _typed(self, leaf: Leaf) -> Iterator[Row]:
        name = leaf.name.rpartition(":")[2]
        by_route: dict[int, tuple[Any, list[str]]] = {}
        for method, served in leaf.endpoint.routes.items():
            route = served.mounted.route
            # Routes of other names, or with other names for the pieces, have patterns of their own.
            if route.name == name and served.mounted.pattern == leaf.callback.quintette_pattern:
                by_route.setdefault(id(route), (served, []))[1].append(method)
        for served, methods in by_route.values():
            function = served.builder.function
            yield Row(
                methods=tuple(methods),
                path=leaf.path,
                name=leaf.name,
                handler=handler_of(function),
                kind="typed",
                runs=_typed_place(served.builder.kind, function),
                in_c=(methods[0], leaf.path) in self._lifted,
                reason=self._kept.get((leaf.path, name), ""),
                guards=tuple(map(repr, served.mounted.guards)),
            )

    def _plain(self, leaf: Leaf) -> Row:
        handler = handler_of(leaf.callback)
        placed = self._placed.get(id(leaf.callback))
        runs: str
        if placed is None or placed.problem:
            runs = get_settings().sync_views
        elif placed.is_async:
            runs = "async"
        else:
            runs = _place_name(placed.place)
        methods = methods_of(leaf.callback)
        return Row(methods, leaf.path, leaf.name, handler, "plain", runs, False, "", ())


def _typed_place(kind: int, function: Any) -> str:
    if kind == ASYNC:
        return "async"
    if kind == LOOP:
        return "loop"
    return _place_name(place_of(function))


def _place_name(number: int) -> str:
    names: dict[int, str] = {value: name for name, value in PLACES.items()}
    return names.get(number, get_settings().sync_views)


def _takes(row: Row, method: str) -> bool:
    if not row.methods or method == "OPTIONS":
        return True
    return method in row.methods or (method == "HEAD" and "GET" in row.methods)
