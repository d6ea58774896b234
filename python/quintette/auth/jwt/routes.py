"""``token_routes()``: where clients get tokens, new ones for old ones, and give them back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Annotated, Any

import msgspec
from django.db import transaction
from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

from quintette.api.errors import HTTPError
from quintette.api.routing import Router
from quintette.auth.jwt.cookies import TokenCookies
from quintette.auth.jwt.scheme import JWT, LIFETIME, REFRESH_LIFETIME, challenge, default_jwt

_NO_STORE = {"Cache-Control": "no-store"}  # RFC 6749, 5.1

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=254)]
_Secret = Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]


class Credentials(msgspec.Struct, forbid_unknown_fields=True):
    username: _Name
    password: _Secret


class Refresh(msgspec.Struct, forbid_unknown_fields=True):
    refresh_token: _Secret | None = None
    """Where it is in a cookie, ``{}`` is the body."""


def token_routes(
    jwt: JWT | None = None,
    *,
    prefix: str = "",
    lifetime: timedelta = LIFETIME,
    refresh_lifetime: timedelta = REFRESH_LIFETIME,
    claims: Callable[[Any], dict[str, Any]] | None = None,
    guards: Sequence[Any] = (),
    tags: Sequence[str] = ("tokens",),
) -> Router:
    """``POST /token`` (user name and password), ``/token/refresh`` and ``/token/revoke``, for the
    app ``quintette.auth``. ``claims(user)`` gives more claims for access tokens. A ``JWT`` with a
    cookie gets its tokens into cookies. Nothing limits how often passwords are tried: put a
    throttle into ``guards``."""
    from quintette.auth.schemes import Public

    router = Router(prefix, tags=tags, guards=(Public(), *guards))
    routes = _Routes(jwt or default_jwt(), lifetime, refresh_lifetime, claims)

    @router.post("/token", name="token_obtain", headers=_NO_STORE)
    @sensitive_variables("body")
    def token_obtain(request: HttpRequest, body: Credentials) -> Any:
        """Tokens for a user name and a password"""
        return routes.obtain(request, body)

    # A refusal may revoke a login, which no rollback may undo.
    @router.post("/token/refresh", name="token_refresh", headers=_NO_STORE)
    @transaction.non_atomic_requests
    def token_refresh(request: HttpRequest, body: Refresh) -> Any:
        """New tokens for a refresh token, which is used up"""
        return routes.refresh(request, body)

    @router.post("/token/revoke", name="token_revoke", status=204)
    def token_revoke(request: HttpRequest, body: Refresh) -> Any:
        """End the login that a refresh token is from"""
        return routes.revoke(request, body)

    return router


class _Routes:
    """What the routes of one ``JWT`` do. Models are imported when they are called."""

    def __init__(
        self,
        jwt: JWT,
        lifetime: timedelta,
        refresh_lifetime: timedelta,
        claims: Callable[[Any], dict[str, Any]] | None,
    ) -> None:
        jwt.issues_refresh_tokens = True
        self._options: dict[str, Any] = {
            "jwt": jwt,
            "lifetime": lifetime,
            "refresh_lifetime": refresh_lifetime,
            "claims": claims,
        }
        self._cookies = None
        if jwt.cookie is not None:
            self._cookies = TokenCookies(jwt.cookie, jwt.origins, refresh_lifetime)

    def obtain(self, request: HttpRequest, given: Credentials) -> Any:
        from quintette.auth import tokens

        if self._cookies is not None:
            self._cookies.check(request)
        user = _authenticate(request, given)
        if user is None:
            raise _refusal("Unknown user or wrong password.")
        return self._answer(tokens.log_in(user, **self._options))

    def refresh(self, request: HttpRequest, given: Refresh) -> Any:
        from quintette.auth import tokens

        try:
            return self._answer(tokens.refresh(self._token(request, given), **self._options))
        except tokens.RefreshError:
            raise _refusal("The refresh token is refused.", "invalid_token") from None

    def revoke(self, request: HttpRequest, given: Refresh) -> Any:
        from quintette.auth import tokens

        tokens.revoke(self._token(request, given))
        return None if self._cookies is None else self._cookies.goodbye()

    def _token(self, request: HttpRequest, given: Refresh) -> str:
        token = given.refresh_token
        if self._cookies is not None:
            self._cookies.check(request)
            token = token or self._cookies.refresh_token(request)
        if not token:
            raise _refusal("There is no refresh token.")
        return token

    def _answer(self, pair: Any) -> Any:
        return pair if self._cookies is None else self._cookies.answer(pair, _NO_STORE)


def _refusal(detail: str, error: str = "") -> HTTPError:
    return HTTPError(401, detail, headers={"WWW-Authenticate": challenge(error), **_NO_STORE})


def _authenticate(request: HttpRequest, given: Credentials) -> Any:
    """By ``AUTHENTICATION_BACKENDS``: the user, or None."""
    from django.contrib.auth import authenticate, get_user_model

    name = str(get_user_model().USERNAME_FIELD)
    return authenticate(request, **{name: given.username, "password": given.password})
