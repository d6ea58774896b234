from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from types import ModuleType, TracebackType

from django.apps import AppConfig
from django.core import checks
from django.core.exceptions import ImproperlyConfigured


class QuintetteConfig(AppConfig):
    name = "quintette"
    verbose_name = "Quintette"

    def __init__(self, app_name: str, app_module: ModuleType | None) -> None:
        super().__init__(app_name, app_module)
        if sys.argv[1:2] == ["serve"]:
            # Apps are being loaded, before there is a command. Should one of them be broken, the
            # reloader shows it and waits for the next change.
            sys.excepthook = _survive

    def ready(self) -> None:
        from quintette import checks as project_checks
        from quintette.auth.checks import check_tokens
        from quintette.db.shapes.checks import check_shapes

        self._watch_queries()
        checks.register(check_settings)
        checks.register(check_traffic)
        checks.register(check_databases)
        checks.register(check_compiled)
        checks.register(check_shapes)
        project_checks.register()
        checks.register(check_tokens)
        if sys.excepthook is _survive:
            sys.excepthook = sys.__excepthook__

    @staticmethod
    def _watch_queries() -> None:
        from quintette.db.watch import seeing

        with suppress(ImproperlyConfigured):  # the system check says what is wrong
            seeing.install()


def check_settings(
    app_configs: Sequence[AppConfig] | None, **kwargs: object
) -> list[checks.CheckMessage]:
    from quintette.conf import SettingsError, get_settings

    try:
        get_settings()
    except SettingsError as error:
        return [checks.Error(fault, id="quintette.E001") for fault in error.faults]
    return []


def check_traffic(
    app_configs: Sequence[AppConfig] | None, **kwargs: object
) -> list[checks.CheckMessage]:
    """Values that are of the right type, and mean nothing."""
    from quintette.conf import SettingsError, get_settings
    from quintette.traffic.project import project_cors, project_guards
    from quintette.traffic.proxies import proxies_of

    try:
        settings = get_settings()
    except SettingsError:
        return []  # check_settings says what is wrong
    found: list[checks.CheckMessage] = []
    cors = project_cors if settings.cors else project_guards
    for build in (partial(proxies_of, settings), cors):
        try:
            build()
        except ImproperlyConfigured as error:
            found.append(checks.Error(str(error), id="quintette.E020"))
    return found


def check_databases(
    app_configs: Sequence[AppConfig] | None, **kwargs: object
) -> list[checks.CheckMessage]:
    """Options of our engines that would only be met by the first query on an event loop."""
    from django.db import connections

    found: list[checks.CheckMessage] = []
    for wrapper in connections.all():
        try:
            getattr(wrapper, "check_options", lambda: None)()
        except ImproperlyConfigured as error:
            found.append(checks.Error(str(error), id="quintette.E004"))
    return found


def check_compiled(
    app_configs: Sequence[AppConfig] | None, **kwargs: object
) -> list[checks.CheckMessage]:
    """What `@compiled` cannot compile. A database that cannot be asked is no reason to complain."""
    from django.db import DatabaseError

    from quintette.db.compiled.errors import CompileError
    from quintette.db.compiled.query import queries

    found: list[checks.CheckMessage] = []
    for query in list(queries):
        try:
            query.check()
        except CompileError as error:
            if not isinstance(error.__cause__, DatabaseError):
                found.append(checks.Error(str(error), obj=query, id="quintette.E003"))
    return found


def _survive(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    sys.excepthook = sys.__excepthook__
    from quintette.management.commands.serve import Command

    if not isinstance(error, Exception) or not Command.survive(sys.argv):
        sys.__excepthook__(kind, error, traceback)
