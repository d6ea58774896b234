"""Tokens in cookies, for pages whose scripts are not to see them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.http import HttpRequest

from quintette.api.errors import HTTPError
from quintette.api.responses import JSON, Response
from quintette.auth.jwt.origins import same_site


class TokenCookies:
    """The cookie that a ``JWT`` reads, and one beside it for the refresh token. Neither is for
    scripts; the second goes to requests of our own pages only."""

    def __init__(self, name: str, origins: frozenset[str], refresh_lifetime: timedelta) -> None:
        self._name = name
        self._refresh_name = f"{name}-refresh"
        self._refresh_seconds = int(refresh_lifetime.total_seconds())
        self._is_same_site = same_site(origins)

    def check(self, request: HttpRequest) -> None:
        """These routes change what the browser holds: another site's page must not."""
        if not self._is_same_site(request):
            raise HTTPError(403, "This request comes from another site.")

    def refresh_token(self, request: HttpRequest) -> str | None:
        return request.COOKIES.get(self._refresh_name)

    def answer(self, pair: Any, headers: dict[str, str]) -> Response:
        """The tokens go into cookies, and not into the body."""
        content = {"token_type": pair.token_type, "expires_in": pair.expires_in}
        response = JSON(content, headers=headers)
        response.set_cookie(
            self._name, pair.access_token, max_age=pair.expires_in, samesite="Lax", **self._common()
        )
        response.set_cookie(
            self._refresh_name,
            pair.refresh_token,
            max_age=self._refresh_seconds,
            samesite="Strict",
            **self._common(),
        )
        return response

    def goodbye(self) -> Response:
        response = Response(status=204)
        for name, site in ((self._name, "Lax"), (self._refresh_name, "Strict")):
            response.set_cookie(name, "", max_age=0, samesite=site, **self._common())
        return response

    def _common(self) -> dict[str, Any]:
        # Not every browser takes such a cookie over http from this machine.
        secure = not settings.DEBUG or self._name.startswith("__")
        return {"path": "/", "httponly": True, "secure": secure}
