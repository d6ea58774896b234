from collections.abc import Sequence

from django.apps import AppConfig
from django.core import checks
from django.core.exceptions import ImproperlyConfigured


class QuintetteConfig(AppConfig):
    name = "quintette"
    verbose_name = "Quintette"

    def ready(self) -> None:
        checks.register(check_settings)


def check_settings(
    app_configs: Sequence[AppConfig] | None, **kwargs: object
) -> list[checks.CheckMessage]:
    from quintette.conf import get_settings

    try:
        get_settings()
    except ImproperlyConfigured as error:
        return [checks.Error(str(error), id="quintette.E001")]
    return []
