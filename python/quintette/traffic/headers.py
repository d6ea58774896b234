"""Security fields of an API's answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from quintette import _quintette
from quintette.api.answer import checked_fields, lines_of
from quintette.api.errors import RegistrationError
from quintette.api.guards import Guard, GuardedRoute, Order

# A document of data loads nothing, and is nobody's frame.
DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"
FIELDS_MAX = 24


class SecurityHeaders(Guard):
    """``SecurityHeaders()``: what browsers are to do with an answer that is data, not a page.

    Every option is a field's value, or None to leave it away. ``csp`` is for all answers but HTML,
    for which ``html_csp`` is. A field that the handler sets itself stays as it is."""

    order: ClassVar[int] = Order.HEADERS
    kind: ClassVar[str | None] = "security-headers"

    def __init__(
        self,
        *,
        csp: str | None = DATA_POLICY,
        html_csp: str | None = None,
        permissions_policy: str | None = None,
        content_type_options: str | None = "nosniff",
        frame_options: str | None = "DENY",
        referrer_policy: str | None = "same-origin",
        opener_policy: str | None = "same-origin",
        resource_policy: str | None = "same-site",
        embedder_policy: str | None = None,
        extra: Mapping[str, str] | None = None,
    ) -> None:
        common = {
            "X-Content-Type-Options": content_type_options,
            "X-Frame-Options": frame_options,
            "Referrer-Policy": referrer_policy,
            "Cross-Origin-Opener-Policy": opener_policy,
            "Cross-Origin-Resource-Policy": resource_policy,
            "Cross-Origin-Embedder-Policy": embedder_policy,
            "Permissions-Policy": permissions_policy,
            **(extra or {}),
        }
        self._plain = _lines({"Content-Security-Policy": csp, **common})
        self._html = _lines({"Content-Security-Policy": html_csp, **common})

    def compile(self, route: GuardedRoute) -> _quintette.Guard:
        return _quintette.FieldsGuard(self._plain, self._html)


def _lines(fields: Mapping[str, str | None]) -> bytes:
    given = {name: value for name, value in fields.items() if value is not None}
    if len(given) > FIELDS_MAX:
        raise RegistrationError(f"SecurityHeaders: {FIELDS_MAX} fields at most")
    try:
        return lines_of(checked_fields(given))
    except ValueError as error:
        raise RegistrationError(f"SecurityHeaders: {error}") from None
