from __future__ import annotations

import sys
from collections.abc import Sequence
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
        checks.register(check_settings)
        if sys.excepthook is _survive:
            sys.excepthook = sys.__excepthook__


def check_settings(
    app_configs: Sequence[AppConfig] | None, **kwargs: object
) -> list[checks.CheckMessage]:
    from quintette.conf import get_settings

    try:
        get_settings()
    except ImproperlyConfigured as error:
        return [checks.Error(str(error), id="quintette.E001")]
    return []


def _survive(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    sys.excepthook = sys.__excepthook__
    from quintette.management.commands.serve import Command

    if not isinstance(error, Exception) or not Command.survive(sys.argv):
        sys.__excepthook__(kind, error, traceback)
