"""System checks: what ``manage.py check`` and ``serve`` say about a project before it runs."""

from __future__ import annotations

from django.core import checks

TAG = "quintette"


def register() -> None:
    from quintette.checks.blocking import check_blocking
    from quintette.checks.permissions import check_permissions
    from quintette.checks.routes import check_routes

    checks.register(check_routes, TAG)
    checks.register(check_blocking, TAG)
    checks.register(check_permissions, TAG)
