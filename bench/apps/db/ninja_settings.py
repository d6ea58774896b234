"""The project of the database cases with django-ninja's routes."""

from __future__ import annotations

from bench.apps.db.settings import *  # noqa: F403

ROOT_URLCONF = "bench.apps.db.ninja_urls"
