"""The project with django-ninja's routes."""

from __future__ import annotations

from bench.apps.site.settings import *  # noqa: F403

ROOT_URLCONF = "bench.apps.ninja_urls"
