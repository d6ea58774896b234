"""What blocks the thread that calls it, and what to call instead in ``async def``."""

from __future__ import annotations

import queue
import threading
from typing import Any

from asgiref.sync import AsyncToSync
from django.core.cache import BaseCache
from django.db.models import Manager, QuerySet
from django.utils.connection import ConnectionProxy

_HTTP = "Use an asynchronous client (httpx.AsyncClient), or `await sync_to_async(...)`."
_PROCESS = "Use `await asyncio.create_subprocess_exec(...)`."
_THREAD = "Use `await asyncio.to_thread(...)`."
_MAIL = "Use `await sync_to_async(...)`, or send it in a task."
AWAIT = "Await the coroutine function itself."
_DNS = "Use `await asyncio.get_running_loop().getaddrinfo(...)`."

# By module and name, as they are called.
FUNCTIONS: dict[str, str] = {
    "time.sleep": "Use `await asyncio.sleep(...)`.",
    "input": _THREAD,
    "os.system": _PROCESS,
    "os.popen": _PROCESS,
    "os.wait": _PROCESS,
    "os.waitpid": _PROCESS,
    "subprocess.run": _PROCESS,
    "subprocess.call": _PROCESS,
    "subprocess.check_call": _PROCESS,
    "subprocess.check_output": _PROCESS,
    "subprocess.getoutput": _PROCESS,
    "subprocess.getstatusoutput": _PROCESS,
    "shutil.copytree": _THREAD,
    "shutil.rmtree": _THREAD,
    "shutil.make_archive": _THREAD,
    "shutil.unpack_archive": _THREAD,
    "socket.create_connection": "Use `await asyncio.open_connection(...)`.",
    "socket.getaddrinfo": _DNS,
    "socket.gethostbyname": _DNS,
    "socket.gethostbyaddr": _DNS,
    "urllib.request.urlopen": _HTTP,
    "urllib.request.urlretrieve": _HTTP,
    "urllib3.request": _HTTP,
    "smtplib.SMTP": _MAIL,
    "smtplib.SMTP_SSL": _MAIL,
    "django.core.mail.send_mail": _MAIL,
    "django.core.mail.send_mass_mail": _MAIL,
    "django.core.mail.mail_admins": _MAIL,
    "django.core.mail.mail_managers": _MAIL,
    "django.shortcuts.get_object_or_404": "Use `await aget_object_or_404(...)`.",
    "django.shortcuts.get_list_or_404": "Use `await aget_list_or_404(...)`.",
    "django.db.transaction.atomic": "Use `async with transaction.atomic()` with an engine of "
    "quintette's, or `await sync_to_async(...)`.",
}
FUNCTIONS |= {
    f"{module}.{name}": _HTTP
    for module in ("requests.api", "httpx._api")
    for name in ("request", "get", "options", "head", "post", "put", "patch", "delete")
}

# Methods of objects that a module has: of which classes, by module and name.
_VERBS = {"request", "get", "options", "head", "post", "put", "patch", "delete", "send"}
_METHODS: dict[str, tuple[set[str], str]] = {
    "requests.sessions.Session": (_VERBS, _HTTP),
    "httpx.Client": (_VERBS | {"stream"}, _HTTP),
    "urllib3.poolmanager.PoolManager": ({"request", "urlopen"}, _HTTP),
    "redis.client.Redis": (
        {"get", "set", "delete", "incr", "hget", "hset", "lpush", "blpop", "publish"},
        "Use redis.asyncio.",
    ),
}  # fmt: skip
_QUERIES = {
    "aggregate", "bulk_create", "bulk_update", "contains", "count", "create", "delete", "earliest",
    "exists", "explain", "first", "get", "get_or_create", "in_bulk", "last", "latest", "update",
    "update_or_create",
}  # fmt: skip
_CACHE = {
    "add", "clear", "decr", "delete", "delete_many", "get", "get_many", "get_or_set", "has_key",
    "incr", "set", "set_many", "touch",
}  # fmt: skip
# Methods of query sets that make another one.
CHAINS = {
    "all", "annotate", "alias", "dates", "datetimes", "defer", "difference", "distinct", "exclude",
    "extra", "filter", "intersection", "none", "only", "order_by", "prefetch_related", "reverse",
    "select_for_update", "select_related", "union", "using", "values", "values_list",
}  # fmt: skip
# Builtins that run a query set through.
CONSUMERS = {"list", "tuple", "set", "frozenset", "sorted", "len", "bool", "dict"}
_LOCAL_CACHES = ("locmem", "dummy")


def is_query(value: Any) -> bool:
    return isinstance(value, Manager | QuerySet)


def of_function(name: str) -> str | None:
    """What to do instead; None: it does not block."""
    return FUNCTIONS.get(name)


def of_query(name: str) -> str | None:
    """Of a method of a manager or query set."""
    return f"Use `await ...a{name}(...)`." if name in _QUERIES else None


def of_method(owner: Any, name: str) -> str | None:
    """Of a method of another object that a module holds."""
    if isinstance(owner, BaseCache | ConnectionProxy):
        return _of_cache(owner, name)
    if isinstance(owner, threading.Event) and name == "wait":
        return "Use asyncio.Event."
    if isinstance(owner, queue.Queue) and name in {"get", "join"}:
        return "Use asyncio.Queue."
    for cls in type(owner).__mro__:
        methods, hint = _METHODS.get(f"{cls.__module__}.{cls.__qualname__}", (set(), ""))
        if name in methods:
            return hint
    return None


def of_object(value: Any) -> str | None:
    """Of calling it."""
    return AWAIT if isinstance(value, AsyncToSync) else None


def _of_cache(owner: Any, name: str) -> str | None:
    """Caches in memory answer at once."""
    if name not in _CACHE:
        return None
    if isinstance(owner, ConnectionProxy):
        owner = vars(owner)["_connections"][vars(owner)["_alias"]]
    local = any(word in type(owner).__module__ for word in _LOCAL_CACHES)
    return None if local else f"Use `await cache.a{name}(...)`."
