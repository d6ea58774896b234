"""``serve --explain``: what of a project runs natively, what does not, and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import connections
from django.utils.module_loading import import_string

from quintette.overview.routes import Routes
from quintette.server import middleware as stack

if TYPE_CHECKING:
    from quintette.server.runner import Application


@dataclass(frozen=True)
class Item:
    name: str
    is_native: bool
    reason: str = ""


def explain(application: Application) -> Iterator[str]:
    """Lines."""
    routes = Routes()
    yield from _section("Typed routes", _typed(routes))
    yield from _section("Views", _views(routes), "Django's request path in C; the view in Python")
    yield from _section("Middleware", middleware())
    yield from _section("Databases", _databases())
    yield from _section("Files", _files(application))


def middleware() -> list[Item]:
    """In the order of ``MIDDLEWARE``."""
    return [Item(one.path, one.is_native, one.reason) for one in stack.explain()]


def _typed(routes: Routes) -> Iterator[Item]:
    for row in routes.rows:
        if row.kind == "typed":
            name = f"{','.join(row.methods)} {row.path} ({row.runs})"
            yield Item(name, row.in_c, row.reason)


def _views(routes: Routes) -> Iterator[Item]:
    counts: dict[str, int] = {}
    for row in routes.rows:
        if row.kind == "plain":
            counts[row.runs] = counts.get(row.runs, 0) + 1
    names = {"async": "on the event loop", "thread": "in threads", "greenlet": "in greenlets"}
    for runs, count in sorted(counts.items()):
        yield Item(f"{count} {names.get(runs, runs)}", True)


def _databases() -> Iterator[Item]:
    for alias, options in connections.settings.items():
        engine = options["ENGINE"]
        if engine.startswith("quintette."):
            yield Item(f"{alias}: {engine}", True)
        elif _is_derived(engine):
            yield Item(f"{alias}: {engine}", True, "derived from an engine of quintette's")
        else:
            yield Item(f"{alias}: {engine}", False, f"blocks its thread{_other_engine(engine)}")


def _is_derived(engine: str) -> bool:
    try:
        wrapper = import_string(f"{engine}.base.DatabaseWrapper")
    except ImportError:
        return False
    return any(cls.__module__.startswith("quintette.db.") for cls in wrapper.__mro__)


def _other_engine(engine: str) -> str:
    name = engine.rpartition(".")[2]
    known = engine.startswith("django.db.backends.") and name in ("postgresql", "sqlite3")
    return f'; "quintette.db.{name}" does not' if known else ""


def _files(application: Application) -> Iterator[Item]:
    for prefix, root, _options in application.mounts:
        yield Item(f"{prefix} from {root}", True)
    url = settings.STATIC_URL
    if url and not any(prefix == url for prefix, _, _ in application.mounts):
        how = "from the finders, for development" if settings.DEBUG else "not served: SERVE_STATIC"
        yield Item(str(url), False, how)


def _section(title: str, items: Iterable[Any], note: str = "") -> Iterator[str]:
    items = list(items)
    if not items:
        return
    yield f"{title}: {note}" if note else title
    for item in items:
        mark = "native" if item.is_native else "Python"
        yield f"  {mark}  {item.name}" + (f": {item.reason}" if item.reason else "")
