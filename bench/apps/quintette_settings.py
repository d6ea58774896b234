"""The project with Quintette: its typed routes before the plain views."""

from __future__ import annotations

from bench.apps.site.settings import *  # noqa: F403
from bench.apps.site.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "quintette"]
ROOT_URLCONF = "bench.apps.quintette_urls"
QUINTETTE = {"ACCESS_LOG": False, "REQUESTS_PER_CONNECTION": 1_000_000_000}
