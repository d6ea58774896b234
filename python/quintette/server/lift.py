"""The router in C: typed routes, and the paths of Django views that do not run where others do."""

from __future__ import annotations

from typing import Any

from quintette import _quintette
from quintette.server.banner import Report
from quintette.server.views import View, find_placed_views


def build_router() -> tuple[Any, Report, bool]:
    """The router (None when it would be empty), what became of the routes, and whether a request
    may reach the asynchronous handler."""
    report = Report()
    router = _lift_api(report)
    for view in find_placed_views():
        problem = view.problem
        if not problem:
            if router is None:
                router = _quintette.Router()
            problem = _add(router, view)
        if problem:
            report.misplaced.append(f"{view.path} ({view.name}): {problem}")
        elif view.is_async:
            report.async_views += 1
        else:
            report.placed_views += 1
    return router, report, report.async_views > 0


def _lift_api(report: Report) -> Any:
    try:
        from quintette.api import lift
    except ImportError:
        return None
    router, lifted = lift()
    report.routes = len(lifted.routes)
    for route in lifted.routes:
        report.plans.setdefault(route.path, []).append(route.plan)
    report.kept = [str(item) for item in lifted.kept]
    return router


def _add(router: Any, view: View) -> str:
    try:
        router.add_view(view.path, view.place)
    except ValueError as error:
        return str(error)
    return ""
