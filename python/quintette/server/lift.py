"""The router in C: typed routes and the paths of asynchronous Django views."""

from __future__ import annotations

from typing import Any

from quintette import _quintette
from quintette.server.banner import Report
from quintette.server.views import View, find_async_views


def build_router() -> tuple[Any, Report, bool]:
    """The router (None when it would be empty), what became of the routes, and whether a request
    may reach the asynchronous handler."""
    report = Report()
    router = _lift_api(report)
    views = find_async_views()
    lifted = 0
    for view in views:
        problem = view.problem
        if not problem:
            if router is None:
                router = _quintette.Router()
            problem = _add(router, view)
        if problem:
            report.async_in_thread.append(f"{view.path} ({view.name}): {problem}")
        else:
            lifted += 1
    report.async_views = lifted
    return router, report, lifted > 0


def _lift_api(report: Report) -> Any:
    try:
        from quintette.api import lift
    except ImportError:
        return None
    router, lifted = lift()
    report.routes = len(lifted.routes)
    report.kept = [str(item) for item in lifted.kept]
    return router


def _add(router: Any, view: View) -> str:
    try:
        router.add_async(view.path)
    except ValueError as error:
        return str(error)
    return ""
