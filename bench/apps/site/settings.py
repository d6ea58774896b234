"""Settings of the Django project as every server gets them.

``BENCH_MIDDLEWARE`` is ``none``, ``default`` (the seven classes of ``startproject`` and the apps
that they need), or ``whitenoise``, for servers that leave static files to the project.
"""

from __future__ import annotations

import os
from pathlib import Path

DEBUG = False
SECRET_KEY = "bench"
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "bench.apps.site.urls"
WSGI_APPLICATION = "bench.apps.site.wsgi.application"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
_APPS = {
    "default": [
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "django.contrib.messages",
    ],
}
_MIDDLEWARE = {
    "default": [
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ],
    "whitenoise": ["whitenoise.middleware.WhiteNoiseMiddleware"],
}
_kind = os.environ.get("BENCH_MIDDLEWARE", "none")
INSTALLED_APPS = ["django.contrib.staticfiles", *_APPS.get(_kind, [])]
MIDDLEWARE = _MIDDLEWARE.get(_kind, [])
USE_TZ = True
STATIC_URL = "/static/"
STATIC_ROOT = os.environ.get("BENCH_STATIC_ROOT", str(Path(__file__).parent / "no-static"))
LOGGING_CONFIG = None  # nothing is logged by anyone
