"""The project of the database cases with django-turbo-orm, on the pool of its driver."""

from __future__ import annotations

from bench.apps.db import places
from bench.apps.db.settings import *  # noqa: F403
from bench.apps.db.settings import DATABASES, INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "django_async_backend", "turbo_orm"]
DATABASES["default"]["OPTIONS"] = {"pool": {"min_size": places.POOL, "max_size": places.POOL}}
ROOT_URLCONF = "bench.apps.db.turbo_urls"
