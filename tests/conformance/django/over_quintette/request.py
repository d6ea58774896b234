"""Our request, with what Django's test clients say of a request beside its bytes."""

from __future__ import annotations

from typing import Any

from django.utils.functional import cached_property

from over_quintette.wire import WireRequest
from quintette.http.request import Request


class TestedRequest(Request):
    """REMOTE_USER, REMOTE_ADDR, the scheme and the like are said by whoever stands between server
    and project; here by the test."""

    wire: WireRequest | None = None

    @cached_property
    def META(self) -> dict[str, Any]:  # type: ignore[override]  # noqa: N802
        meta = Request.META.func(self)  # type: ignore[attr-defined]
        if self.wire is not None:
            meta.update(self.wire.meta)
        return meta

    @cached_property
    def script_name(self) -> str:  # type: ignore[override]
        given = self.wire.script_name if self.wire is not None else ""
        return Request.script_name.func(self) or given  # type: ignore[attr-defined]

    def _get_scheme(self) -> str:
        if self.wire is None:
            return super()._get_scheme()
        return self.wire.meta["wsgi.url_scheme"]
