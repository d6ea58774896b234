"""The project with django-bolt, as its documents configure production."""

from __future__ import annotations

import os

from bench.apps.site.settings import *  # noqa: F403
from bench.apps.site.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "django_bolt"]
_api = os.environ.get("BENCH_BOLT_API", "bolt_api")
BOLT_API = [f"bench.apps.{_api}:api"]
if _api == "bolt_realtime":
    # A handshake of a browser names its origin, and has to be allowed.
    CORS_ALLOWED_ORIGIN_REGEXES = [r"^http://127\.0\.0\.1:\d+$"]
if os.environ.get("BENCH_BOLT_COMPRESSION") != "on":
    # Only one case's client asks for compression; off, no response passes its middleware.
    BOLT_COMPRESSION = False
# The upload's size, and Django's own FILE_UPLOAD_MAX_MEMORY_SIZE: no one spools it to disk.
BOLT_MAX_UPLOAD_SIZE = 10 * 1024 * 1024
BOLT_MEMORY_SPOOL_THRESHOLD = 2_621_440
LOGGING: dict[str, object] = {"version": 1}
