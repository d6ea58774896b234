"""The project of the database cases with django-bolt, as its documents configure production."""

from __future__ import annotations

from bench.apps.db.settings import *  # noqa: F403
from bench.apps.db.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "django_bolt"]
BOLT_API = ["bench.apps.db.bolt_api:api"]
BOLT_COMPRESSION = False
LOGGING: dict[str, object] = {"version": 1}
