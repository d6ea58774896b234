"""Loads the users of many sessions twice, as Quintette does and as Django does, and prints what
came of each: user_loading_project.py DATABASE_FILE SESSION_ENGINE. Run by test_user_loading.py."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

import django
from django.conf import settings

ENGINE = f"django.contrib.sessions.backends.{sys.argv[2]}"
settings.configure(
    INSTALLED_APPS=[
        "quintette",
        "django.contrib.contenttypes",
        "django.contrib.auth",
        "django.contrib.sessions",
    ],
    DATABASES={"default": {"ENGINE": "quintette.db.sqlite3", "NAME": sys.argv[1]}},
    SECRET_KEY="for tests",
    SESSION_ENGINE=ENGINE,
    AUTHENTICATION_BACKENDS=[
        "django.contrib.auth.backends.ModelBackend",
        "django.contrib.auth.backends.AllowAllUsersModelBackend",
        "__main__.OnlyAda",
    ],
)
django.setup()

from django.contrib import auth  # noqa: E402
from django.contrib.auth.backends import ModelBackend  # noqa: E402
from django.contrib.auth.models import User, UserManager  # noqa: E402
from django.core.cache.backends.locmem import LocMemCache  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.http import HttpRequest  # noqa: E402
from django.test.utils import override_settings  # noqa: E402

from quintette.auth import loading  # noqa: E402

BACKEND = "django.contrib.auth.backends.ModelBackend"
Content = dict[str, Any]
MakeContent = Callable[[], Content]


class OnlyAda(ModelBackend):
    """A project's own: it finds users in another way."""

    def get_user(self, user_id: Any) -> Any:
        return User.objects.get(username="ada")


class ActiveManager(UserManager[User]):
    """Whose rows may depend on anything."""

    def get_queryset(self) -> Any:
        return super().get_queryset().exclude(username="ada")


class Router:
    def db_for_read(self, model: Any, **hints: Any) -> str:
        return "default"


def of(name: str, **more: Any) -> MakeContent:
    def make() -> Content:
        user = User.objects.get(username=name)
        content = {
            auth.SESSION_KEY: str(user.pk),
            auth.BACKEND_SESSION_KEY: BACKEND,
            auth.HASH_SESSION_KEY: user.get_session_auth_hash(),
        } | more
        return {key: value for key, value in content.items() if value is not None}

    return make


def with_old_secret() -> Content:
    with override_settings(SECRET_KEY="an older one"):
        return of("ada")()


async def looked_at(aget_user: Callable[[Any], Any], content: Content | None) -> list[Any]:
    """The user's name, and what became of the session."""
    store = import_module(ENGINE).SessionStore
    session = store()
    if content is not None:
        await session.aupdate(content)
        await session.asave()
        session = store(session.session_key)
    request = HttpRequest()
    request.session = session
    try:
        user = await aget_user(request)
    except Exception as error:
        return [repr(error)]
    kept = sorted((await session.aload()).items()) if session.session_key else None
    if ENGINE.endswith("signed_cookies"):
        kept = sorted(session._session_cache.items())
    return [user.username, kept, session.accessed, session.modified]


CASES: dict[str, tuple[MakeContent | None, dict[str, Any]]] = {
    "usual": (of("ada"), {}),
    "no session": (None, {}),
    "nobody": (lambda: {"cart": 3}, {}),
    "inactive": (of("bob"), {}),
    "inactive, another back end": (
        of("bob", **{auth.BACKEND_SESSION_KEY: f"{BACKEND[:-12]}AllowAllUsersModelBackend"}),
        {},
    ),
    "no such user": (of("ada", **{auth.SESSION_KEY: "999"}), {}),
    "no number": (of("ada", **{auth.SESSION_KEY: "ada"}), {}),
    "another's hash": (of("eve", **{auth.SESSION_KEY: "1"}), {}),
    "an empty hash": (of("ada", **{auth.HASH_SESSION_KEY: ""}), {}),
    "no hash": (of("ada", **{auth.HASH_SESSION_KEY: None}), {}),
    "no back end": (of("ada", **{auth.BACKEND_SESSION_KEY: None}), {}),
    "a back end of the project's": (
        of("eve", **{auth.BACKEND_SESSION_KEY: "__main__.OnlyAda"}),
        {},
    ),
    "a back end that is gone": (of("ada"), {"AUTHENTICATION_BACKENDS": ["__main__.OnlyAda"]}),
    "an older secret": (with_old_secret, {"SECRET_KEY_FALLBACKS": ["an older one"]}),
    "an older secret that is gone": (with_old_secret, {}),
    "a router": (of("ada"), {"DATABASE_ROUTERS": ["__main__.Router"]}),
}


async def both(content: Content | None) -> dict[str, Any]:
    quick: list[bool] = []
    usual = loading._usual_user

    async def noted(request: Any) -> Any:
        user = await usual(request)
        quick.append(user is not None)
        return user

    loading._usual_user = noted
    try:
        ours = await looked_at(loading.aget_user, content)
    finally:
        loading._usual_user = usual
    return {"ours": ours, "djangos": await looked_at(auth.aget_user, content), "quick": quick}


def with_custom_manager() -> dict[str, Any]:
    content = of("ada")()
    kept, loading._query_by_key = User._default_manager, loading._query_by_key
    loading._query_by_key.cache_clear()
    User._meta.__dict__.pop("default_manager", None)
    manager: Any = ActiveManager()
    manager.model, manager.name = User, "objects"
    User._meta.__dict__["default_manager"] = manager
    try:
        return asyncio.run(both(content))
    finally:
        User._meta.__dict__["default_manager"] = kept
        loading._query_by_key.cache_clear()


def without_threads() -> dict[str, Any]:
    """The session's cache is asked on the loop itself."""

    async def refuse(self: Any, key: Any, *args: Any, **kwargs: Any) -> Any:
        raise AssertionError("asked in a thread")

    async def main() -> Any:
        content = {**of_ada, "quick": True}
        session = import_module(ENGINE).SessionStore()
        await session.aupdate(content)
        await session.asave()
        request: Any = HttpRequest()
        request.session = import_module(ENGINE).SessionStore(session.session_key)
        aget, LocMemCache.aget = LocMemCache.aget, refuse  # type: ignore[method-assign]
        try:
            first = await loading.auser(request)
            return [first.username, await loading.auser(request) is first]
        finally:
            LocMemCache.aget = aget  # type: ignore[method-assign]

    of_ada = of("ada")()
    return {"ours": asyncio.run(main())}


def main() -> None:
    call_command("migrate", verbosity=0)
    for name in ("ada", "bob", "eve"):
        User.objects.create_user(name, is_active=name != "bob")
    came: dict[str, Any] = {}
    for case, (make, overrides) in CASES.items():
        content = make() if make else None
        with override_settings(**overrides):
            came[case] = asyncio.run(both(content))
    came["a manager of the project's"] = with_custom_manager()
    came["without threads"] = without_threads()
    print(json.dumps(came, default=str))


if __name__ == "__main__":
    main()
