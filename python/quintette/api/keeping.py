"""What Django's middleware does behind a handler, for routes that it does not stand around: on a
response without a body, whose fields are then the reply's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asgiref.sync import sync_to_async
from django.http import HttpResponse

from quintette.concurrency import engines, run

Fields = list[Any]
"""(name, value); or the one exception that was met, which the guard raises."""


def blank(status: int) -> Any:
    response = HttpResponse(status=status)
    del response["Content-Type"]
    return response


def take(response: Any, fields: Fields) -> None:
    """Adds the response's fields, names of Vary one by one."""
    for name, value in response.items():
        if name == "Vary":
            fields += [("Vary", item) for item in map(str.strip, value.split(","))]
        else:
            fields.append((name, value))
    fields += [("Set-Cookie", morsel.OutputString()) for morsel in response.cookies.values()]


async def elsewhere(session: Any, fields: Fields, keep: Callable[..., None], *args: Any) -> None:
    """Calls ``keep(*args)``, which may block: in a greenlet where the session is kept by what can
    wait there, else in a thread. Never on the loop itself."""
    try:
        if session is not None and engines.waits_for_session(session):
            await run(keep, *args)
        else:
            await sync_to_async(keep)(*args)
    except Exception as error:
        fields[:] = [error]
