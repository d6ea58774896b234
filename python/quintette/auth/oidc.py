"""Login by OpenID Connect: views around Authlib, which speaks the protocol.

    login = OIDCLogin(Provider("example", "https://id.example", "client", "secret"))
    urlpatterns = [path("accounts/", login.urls)]

``oidc:login`` sends the browser to the provider (authorization code with PKCE, state and nonce),
``oidc:callback`` logs the user into Django's session, ``oidc:logout`` out of it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.contrib import auth
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import resolve_url
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_GET, require_POST

logger = logging.getLogger("quintette.auth.oidc")

TIMEOUT_SECONDS: Final = 10.0
"""Of each request to the provider."""
LOGIN_SECONDS: Final = 600
"""Between the redirect to the provider and back."""
LOGINS_MAX: Final = 5
"""That one session may have begun and not ended."""
ALGORITHMS: Final = frozenset(
    f"{family}{bits}" for family in ("RS", "PS", "ES") for bits in (256, 384, 512)
) | {"EdDSA", "Ed25519"}
"""Of ID tokens. None with a shared secret: the client's is known to too many."""

_SESSION_PROVIDER = "_quintette_oidc"
_USERNAME = re.compile(r"[\w.@+-]{1,100}", re.ASCII)


class LoginRefusedError(PermissionDenied):
    """The callback is answered with 403; the reason is logged, not shown."""


@dataclass(frozen=True)
class Provider:
    """Who tells who the user is. ``issuer`` is where its discovery document is, below
    ``/.well-known/openid-configuration``; by HTTPS, unless it is on this machine."""

    name: str
    """In URLs and of users."""
    issuer: str
    client_id: str
    client_secret: str = ""
    """Empty: a public client, which PKCE alone protects."""
    scopes: tuple[str, ...] = ("openid", "email", "profile")

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9-]{1,30}", self.name):
            raise ImproperlyConfigured(f"OIDC: {self.name!r} is no name: a-z, 0-9 and hyphens")
        url = urlsplit(self.issuer)
        local = url.hostname in ("localhost", "127.0.0.1", "::1")
        if url.scheme != "https" and not (url.scheme == "http" and local):
            raise ImproperlyConfigured(f"OIDC: the issuer {self.issuer!r} has no https:// URL")
        if "openid" not in self.scopes:
            raise ImproperlyConfigured('OIDC: the scopes have no "openid"')


FindUser = Callable[[str, dict[str, Any], HttpRequest], Any]
"""Of the provider's name, the claims of the ID token and the request: the user, or None, who is
refused."""


def user_of_subject(provider: str, claims: dict[str, Any], request: HttpRequest) -> Any:
    """A user per provider and subject, created at the first login, without a password. E-mail
    addresses link nobody: whoever has one today may not be who has had it yesterday."""
    subject = str(claims["sub"])
    if not _USERNAME.fullmatch(subject):
        subject = hashlib.sha256(subject.encode()).hexdigest()
    model: Any = auth.get_user_model()
    manager = model._default_manager
    name = f"{provider}.{subject}"
    user = manager.filter(**{model.USERNAME_FIELD: name}).first()
    if user is None:
        email = claims.get("email", "") if claims.get("email_verified") is True else ""
        return manager.create_user(name, email=email, password=None)
    if user.has_usable_password():
        # Somebody has signed up under this name before, and would share the account.
        raise LoginRefusedError("the user of that name has a password")
    return user


class OIDCLogin:
    """URLs of the login by these providers. ``user`` says whom their claims mean."""

    def __init__(
        self,
        *providers: Provider,
        user: FindUser = user_of_subject,
        namespace: str = "oidc",
        backend: str | None = None,
    ) -> None:
        """``backend``: the authentication back end that the session names, where there are
        several."""
        if not providers:
            raise ImproperlyConfigured("OIDC: no provider")
        self._clients = {provider.name: _Client(provider) for provider in providers}
        if len(self._clients) < len(providers):
            raise ImproperlyConfigured("OIDC: two providers have one name")
        self._user = user
        self._namespace = namespace
        self._backend = backend

    @property
    def urls(self) -> tuple[list[URLPattern], str, str]:
        """For ``path()``."""
        patterns = [
            path("login/<slug:provider>/", self._login, name="login"),
            path("callback/<slug:provider>/", self._callback, name="callback"),
            path("logout/", self._logout, name="logout"),
        ]
        return patterns, "oidc", self._namespace

    # --- views

    @method_decorator([require_GET, never_cache])
    def _login(self, request: HttpRequest, provider: str) -> HttpResponse:
        client = self._client(provider)
        try:
            return client.begin(request, self._own_url(request, "callback", provider))
        except _ProviderError as error:
            return _unavailable(error)

    @method_decorator([require_GET, never_cache])
    def _callback(self, request: HttpRequest, provider: str) -> HttpResponse:
        client = self._client(provider)
        try:
            claims, next_url = client.end(request)
            user = self._user(provider, claims, request)
            if user is None or not user.is_active:
                raise LoginRefusedError("the user is not known, or not active")
        except _ProviderError as error:
            return _unavailable(error)
        except LoginRefusedError as error:
            logger.warning("Login by %s refused: %s", provider, error)
            raise LoginRefusedError("The login was refused.") from error
        auth.login(request, user, backend=self._backend)
        # Django keeps the key of a session whose user logs in again; whoever has planted it waits
        # for just that.
        request.session.cycle_key()
        request.session[_SESSION_PROVIDER] = provider
        return HttpResponseRedirect(next_url)

    @method_decorator([require_POST, csrf_protect, never_cache])
    def _logout(self, request: HttpRequest) -> HttpResponse:
        client = self._clients.get(request.session.get(_SESSION_PROVIDER, ""))
        auth.logout(request)
        here = resolve_url(settings.LOGOUT_REDIRECT_URL or "/")
        if client is None:
            return HttpResponseRedirect(here)
        return HttpResponseRedirect(client.logout_url(request.build_absolute_uri(here)) or here)

    def _client(self, provider: str) -> _Client:
        client = self._clients.get(provider)
        if client is None:
            raise Http404
        return client

    def _own_url(self, request: HttpRequest, name: str, provider: str) -> str:
        url = reverse(f"{self._namespace}:{name}", kwargs={"provider": provider})
        return request.build_absolute_uri(url)


def _unavailable(error: Exception) -> HttpResponse:
    logger.error("The provider of the login cannot be asked: %s", error)
    text = "The provider of the login cannot be asked."
    return HttpResponse(text, status=502, content_type="text/plain")


class _ProviderError(Exception):
    """The provider does not answer, or not as it should."""


# --- the protocol -----------------------------------------------------------------------


class _Client:
    """One provider, as Authlib sees it."""

    def __init__(self, provider: Provider) -> None:
        try:
            from authlib.integrations.django_client import (  # type: ignore[import-untyped]
                OAuth,
            )
        except ImportError as error:
            raise ImproperlyConfigured("OIDC needs the extra quintette[oidc]") from error
        self.provider = provider
        self._prefix = f"_state_{provider.name}_"
        self._app = OAuth().register(
            provider.name,
            client_id=provider.client_id,
            client_secret=provider.client_secret or None,
            server_metadata_url=provider.issuer.rstrip("/") + "/.well-known/openid-configuration",
            client_kwargs={
                "scope": " ".join(provider.scopes),
                "code_challenge_method": "S256",
                "default_timeout": TIMEOUT_SECONDS,
                "token_endpoint_auth_method": (
                    "client_secret_basic" if provider.client_secret else "none"
                ),
            },
        )

    def begin(self, request: HttpRequest, redirect_uri: str) -> HttpResponse:
        """Sends the browser to the provider."""
        self._metadata()
        self._forget_logins(request)
        before = set(request.session.keys())
        response: HttpResponse = self._app.authorize_redirect(request, redirect_uri)
        for key in set(request.session.keys()) - before:
            kept = request.session[key]
            kept["exp"] = time.time() + LOGIN_SECONDS
            kept["next"] = _next_of(request)
            request.session[key] = kept
        return response

    def end(self, request: HttpRequest) -> tuple[dict[str, Any], str]:
        """The verified claims, and where the login goes on. Each state is good for once."""
        from authlib.common.errors import AuthlibBaseError  # type: ignore[import-untyped]
        from joserfc.errors import JoseError
        from requests import RequestException

        metadata = self._metadata()
        kept = request.session.get(self._prefix + request.GET.get("state", ""), {})
        if kept.get("exp", 0) < time.time():
            raise LoginRefusedError("no such login was begun")
        # RFC 9207: the answer may say whose it is.
        if request.GET.get("iss", self.provider.issuer) != self.provider.issuer:
            raise LoginRefusedError("the answer is another provider's")
        try:
            token = self._app.authorize_access_token(
                request, claims_options=self._rules(metadata["issuer"])
            )
        except RequestException as error:
            raise _ProviderError(str(error)) from error
        except (AuthlibBaseError, JoseError, ValueError, KeyError, RuntimeError) as error:
            raise LoginRefusedError(f"{type(error).__name__}: {error}") from error
        claims = token.get("userinfo")
        if not claims:
            raise LoginRefusedError("the provider gave no ID token")
        return dict(claims), kept["next"]

    def logout_url(self, back: str) -> str | None:
        """OpenID Connect RP-Initiated Logout, where the provider has it."""
        try:
            endpoint = self._metadata().get("end_session_endpoint")
        except _ProviderError as error:
            logger.warning("Logged out here, but not by the provider: %s", error)
            return None
        query = {"client_id": self.provider.client_id, "post_logout_redirect_uri": back}
        glue = "&" if "?" in (endpoint or "") else "?"
        return f"{endpoint}{glue}{urlencode(query)}" if endpoint else None

    def _metadata(self) -> dict[str, Any]:
        from requests import RequestException

        try:
            metadata: dict[str, Any] = self._app.load_server_metadata()
        except (RequestException, json.JSONDecodeError) as error:
            raise _ProviderError(str(error)) from error
        if metadata.get("issuer") != self.provider.issuer:
            # OpenID Connect Discovery, 4.3
            raise _ProviderError(f"it calls itself {metadata.get('issuer')!r}")
        offered = metadata.get("id_token_signing_alg_values_supported") or ["RS256"]
        usable = [name for name in offered if name in ALGORITHMS]
        if not usable:
            raise _ProviderError(f"it signs by none of {', '.join(sorted(ALGORITHMS))}")
        metadata["id_token_signing_alg_values_supported"] = usable
        return metadata

    def _rules(self, issuer: str) -> dict[str, Any]:
        return {
            "iss": {"essential": True, "values": [issuer]},
            "aud": {"essential": True, "values": [self.provider.client_id]},
            "sub": {"essential": True},
            "exp": {"essential": True},
        }

    def _forget_logins(self, request: HttpRequest) -> None:
        """Those that are too old, and the oldest of too many."""
        session, now = request.session, time.time()
        begun = sorted(
            (session[key].get("exp", 0), key)
            for key in list(session.keys())
            if key.startswith(self._prefix)
        )
        keep = len(begun) - LOGINS_MAX + 1
        for index, (expires, key) in enumerate(begun):
            if expires < now or index < keep:
                del session[key]


def _next_of(request: HttpRequest) -> str:
    """``?next=``, if it is ours; else LOGIN_REDIRECT_URL."""
    wanted = request.GET.get("next", "")
    ours = url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return wanted if wanted and ours else resolve_url(settings.LOGIN_REDIRECT_URL)
