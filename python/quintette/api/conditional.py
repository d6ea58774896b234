"""Entity tags and conditional requests (RFC 9110, 8.8 and 13)."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal

from django.http import HttpRequest

from quintette import _quintette
from quintette.api.asking import awaiting, secret_key
from quintette.api.errors import HTTPError, RegistrationError
from quintette.api.guards import Guard, GuardedRoute, Order

Validator = Callable[..., Any]
Validators = tuple[str | None, int | None]

_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')


class Conditional(Guard):
    """Answers 304 to a client that has the current representation, and 412 to one that would
    change another than it knows.

    ``etag`` is ``"strong"`` or ``"weak"``: a hash of the body, made once the handler has made the
    body. Or it is a function, asked before the handler, which then need not run: it is given the
    request and the values of the path by name, may be asynchronous, and returns a tag, text of
    which one is made, or None. ``last_modified`` is such a function that returns a datetime, or
    None.
    """

    order: ClassVar[int] = Order.CONDITIONAL
    kind: ClassVar[str | None] = "conditional"

    def __init__(
        self,
        etag: Literal["strong", "weak"] | Validator | None = "strong",
        *,
        last_modified: Validator | None = None,
    ) -> None:
        if isinstance(etag, str) and etag not in ("strong", "weak"):
            raise RegistrationError(
                f'Conditional: etag is "strong", "weak" or a function, not {etag!r}'
            )
        for function in (etag, last_modified):
            if not (function is None or isinstance(function, str) or callable(function)):
                raise RegistrationError(f"Conditional: {function!r} is no function")
        self._tag = etag if isinstance(etag, str) else ""
        self._etag = None if etag is None or isinstance(etag, str) else awaiting(etag)
        self._last_modified = None if last_modified is None else awaiting(last_modified)

    def compile(self, route: GuardedRoute) -> _quintette.Guard:
        asks = self._etag is not None or self._last_modified is not None
        return _quintette.ConditionalGuard(
            tag=self._tag,
            key=secret_key("etag"),
            ask=self._ask if asks else None,
            refuse=_failed,
        )

    async def _ask(self, request: HttpRequest, path: dict[str, Any]) -> Validators:
        tag = await _asked(self._etag, request, path)
        modified = await _asked(self._last_modified, request, path)
        return _tag_of(tag), _seconds_of(modified)


def _failed() -> HTTPError:
    return HTTPError(412)


async def _asked(
    function: Callable[..., Awaitable[Any]] | None, request: HttpRequest, path: dict[str, Any]
) -> Any:
    return None if function is None else await function(request, **path)


def _tag_of(value: Any) -> str | None:
    if value is None:
        return None
    text = str(value)
    tag = text if text.startswith(('"', 'W/"')) else f'"{text}"'
    if not _TAG.fullmatch(tag):
        raise ValueError(f"{text!r} is no entity tag, and none can be made of it")
    return tag


def _seconds_of(value: Any) -> int | None:
    if value is None:
        return None
    if not isinstance(value, datetime):
        raise TypeError(f"last_modified returns a datetime or None, not {value!r}")
    # As Django's condition() does: a naive time is UTC.
    return int((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp())
