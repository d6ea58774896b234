"""Settings of the Django project as every server gets them.

``BENCH_MIDDLEWARE=default`` switches the seven middleware classes of ``startproject`` on.
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
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]
MIDDLEWARE = (
    [
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ]
    if os.environ.get("BENCH_MIDDLEWARE") == "default"
    else []
)
USE_TZ = True
STATIC_URL = "/static/"
STATIC_ROOT = os.environ.get("BENCH_STATIC_ROOT", str(Path(__file__).parent / "no-static"))
LOGGING_CONFIG = None  # nothing is logged by anyone
