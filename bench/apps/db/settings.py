"""The Django project of the database cases.

``BENCH_DATABASE`` is ``postgresql`` or ``sqlite``; ``BENCH_ENGINE`` whose back end (``django``,
``quintette`` or ``async_backend``); ``BENCH_POOL`` is ``on`` where threads come and go, so that a
connection of each thread's own would not last; ``BENCH_MIDDLEWARE`` is ``session`` for the case
with a user, ``default`` for that behind the classes of ``startproject``; ``BENCH_SESSIONS`` is
``cached`` there.
"""

from __future__ import annotations

import os

from bench.apps.db import places
from bench.apps.site.settings import *  # noqa: F403

_KIND = os.environ.get("BENCH_DATABASE", "sqlite")
_ENGINE = os.environ.get("BENCH_ENGINE", "django")
_ENGINES = {
    ("postgresql", "django"): "django.db.backends.postgresql",
    ("postgresql", "quintette"): "quintette.db.postgresql",
    ("postgresql", "async_backend"): "django_async_backend.db.backends.postgresql",
    ("sqlite", "django"): "django.db.backends.sqlite3",
    ("sqlite", "quintette"): "quintette.db.sqlite3",
}


def _options() -> dict[str, object]:
    if _KIND == "sqlite":
        # Quintette's engine has these by default.
        return {} if _ENGINE == "quintette" else places.SQLITE_OPTIONS
    if _ENGINE == "quintette":
        return {"loop_pool": {"size": places.LOOP_POOL}}
    options: dict[str, object] = {"server_side_binding": True, "prepare_threshold": 5}
    if os.environ.get("BENCH_POOL") == "on":
        options["pool"] = {"min_size": places.POOL, "max_size": places.POOL, "timeout": 30}
    return options


DATABASES = {
    "default": {
        "ENGINE": _ENGINES[_KIND, _ENGINE],
        "NAME": places.POSTGRESQL_NAME if _KIND == "postgresql" else str(places.SQLITE_FILE),
        "HOST": places.POSTGRESQL_HOST if _KIND == "postgresql" else "",
        "CONN_MAX_AGE": 0 if os.environ.get("BENCH_POOL") == "on" else None,
        "OPTIONS": _options(),
    }
}
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "bench.apps.db",
]
ROOT_URLCONF = "bench.apps.db.urls"
if os.environ.get("BENCH_MIDDLEWARE") == "session":
    MIDDLEWARE = [
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ]
if os.environ.get("BENCH_SESSIONS") == "cached":
    # In the worker's own memory: what is compared is not a network's cache.
    SESSION_ENGINE = "django.contrib.sessions.backends.cached_db"
    CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
