"""Settings of Django's own tests: two databases of one engine.

The environment says which: ENGINE_UNDER_TEST (dotted), TEST_DATABASE (the first part of the names
of the test databases on a server), DATABASE_URL (the server; else 127.0.0.1:5432).
"""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

ENGINE = os.environ["ENGINE_UNDER_TEST"]
PREFIX = os.environ["TEST_DATABASE"]

SECRET_KEY = "for tests"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
USE_TZ = False


def _postgresql(alias: str) -> dict[str, Any]:
    url = urlsplit(os.environ.get("DATABASE_URL", "postgresql://127.0.0.1:5432"))
    query = {key: values[-1] for key, values in parse_qs(url.query).items()}
    return {
        "ENGINE": ENGINE,
        # Never made: Django's tests connect to the test databases, and to "postgres" to make them.
        "NAME": PREFIX,
        "HOST": query.get("host") or url.hostname or "",
        "PORT": str(query.get("port") or url.port or ""),
        "USER": unquote(url.username or ""),
        "PASSWORD": unquote(url.password or ""),
        "TEST": {"NAME": f"{PREFIX}_{alias}"},
    }


def _sqlite(alias: str) -> dict[str, Any]:
    return {"ENGINE": ENGINE}


_database = _postgresql if ENGINE.endswith(".postgresql") else _sqlite
DATABASES = {alias: _database(alias) for alias in ("default", "other")}
