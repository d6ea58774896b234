"""A database in a file, which the servers' threads see too, and users in it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connections
from django.test.utils import override_settings


@pytest.fixture(scope="session")
def _database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(tmp_path_factory.mktemp("auth"), "db.sqlite3")


@pytest.fixture
def database(_database: Path) -> Iterator[None]:
    """The tables of all apps, empty."""
    options = connections.databases["default"]
    before = options["NAME"]
    connections["default"].close()
    fresh = not _database.exists()
    options["NAME"] = str(_database)
    _close_everywhere()  # what earlier tests opened
    try:
        # Hashing that is slow by intention would be most of these tests' time.
        with override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"]):
            call_command("migrate" if fresh else "flush", verbosity=0, interactive=False)
            yield
    finally:
        _close_everywhere()
        options["NAME"] = before


def _close_everywhere() -> None:
    """Here, and in the thread that asynchronous code has its synchronous code run in. While the
    database is a file: Django closes none that is in memory."""
    connections.close_all()
    asyncio.run(sync_to_async(connections.close_all)())


@pytest.fixture
def users(database: None) -> dict[str, Any]:
    """ada may add groups and is in "editors", bob nothing; root is a superuser, cy inactive."""
    from django.contrib.auth.models import Group, Permission

    model: Any = get_user_model()
    made = {name: model.objects.create_user(name, password=f"{name}'s") for name in ("ada", "bob")}
    made["root"] = model.objects.create_superuser("root", password="root's")
    made["cy"] = model.objects.create_user("cy", password="cy's", is_active=False)
    made["ada"].user_permissions.add(Permission.objects.get(codename="add_group"))
    made["ada"].groups.add(Group.objects.create(name="editors"))
    return made


@pytest.fixture
def session_of(users: dict[str, Any]) -> Any:
    """Logs somebody in, as a page would; gives the session's cookie."""
    from importlib import import_module

    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY

    def log_in(name: str) -> str:
        store = import_module(settings.SESSION_ENGINE).SessionStore()
        user = users[name]
        store[SESSION_KEY] = str(user.pk)
        store[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
        store[HASH_SESSION_KEY] = user.get_session_auth_hash()
        store["since"] = time.time()
        store.create()
        return str(store.session_key)

    return log_in
