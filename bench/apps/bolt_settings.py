"""The project with django-bolt, as its documents configure production."""

from __future__ import annotations

from bench.apps.site.settings import *  # noqa: F403
from bench.apps.site.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "django_bolt"]
BOLT_API = ["bench.apps.bolt_api:api"]
# No client of the bench asks for compression; off, no response passes its middleware.
BOLT_COMPRESSION = False
# The upload's size, and Django's own FILE_UPLOAD_MAX_MEMORY_SIZE: no one spools it to disk.
BOLT_MAX_UPLOAD_SIZE = 10 * 1024 * 1024
BOLT_MEMORY_SPOOL_THRESHOLD = 2_621_440
LOGGING: dict[str, object] = {"version": 1}
