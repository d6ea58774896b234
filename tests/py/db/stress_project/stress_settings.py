"""A project that moves money. STRESS_* in the environment: the database, and a planted mistake."""

import os

SECRET_KEY = "for tests"
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = [
    "quintette",
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "ledger",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "ledger.middleware.marked",
]
ROOT_URLCONF = "ledger.urls"
DATABASES = {
    "default": {
        "ENGINE": "quintette.db.postgresql",
        "NAME": os.environ["STRESS_DATABASE"],
        "HOST": os.environ.get("STRESS_HOST", ""),
        "PORT": os.environ.get("STRESS_PORT", ""),
        "USER": os.environ.get("STRESS_USER", ""),
        "PASSWORD": os.environ.get("STRESS_PASSWORD", ""),
        "OPTIONS": {
            "application_name": "stress",
            # Few for a thousand: nearly all of them wait for one.
            "loop_pool": {"size": 16, "timeout": 600.0},
        },
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGES = [(code, code) for code in ("en", "de", "fr", "pl", "ja")]
USE_I18N = True
USE_TZ = True
QUINTETTE = {"SYNC_VIEWS": "greenlet", "ACCESS_LOG": False}
