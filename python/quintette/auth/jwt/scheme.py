"""``JWT``: who asks, by a signed token. Verified in C (binding/auth/); what is here runs when the
project is imported, when a token is issued, and when keys or revocations are renewed."""

from __future__ import annotations

import secrets
import time
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from functools import cache, cached_property
from typing import Any, ClassVar
from weakref import WeakSet

import msgspec
from django.core.signals import setting_changed

from quintette import _quintette
from quintette._quintette import Claims, JwtKey
from quintette.api import answer
from quintette.api.errors import RegistrationError
from quintette.api.guards import GuardedRoute
from quintette.auth.jwt.jwks import JWKS
from quintette.auth.jwt.keys import Material, derived_keys, make_key
from quintette.auth.jwt.origins import checked_origins, same_site
from quintette.auth.jwt.renewal import Renewal
from quintette.auth.jwt.users import UserOf, finder
from quintette.auth.schemes import Scheme, unauthorized

Mapping.register(Claims)

CACHE_ENTRIES = 4096
LEEWAY_SECONDS = 10
LIFETIME = timedelta(minutes=5)
REFRESH_LIFETIME = timedelta(days=14)

_REALM = 'Bearer realm="api"'

# What a client is told (RFC 6750, 3.1), by the name of the extension's status.
_REASONS = {
    "ETOKEN": "The token is malformed",
    "ETOKEN_LONG": "The token is too long",
    "ETOKEN_ALG": "The token's algorithm is not accepted",
    "ETOKEN_CRIT": "The token needs an extension that is not supported",
    "ETOKEN_KEY": "The token's key is unknown",
    "ETOKEN_SIGNATURE": "The token's signature is wrong",
    "ETOKEN_CLAIMS": "A claim of the token is malformed or missing",
    "ETOKEN_EXPIRED": "The token has expired",
    "ETOKEN_EARLY": "The token is not valid yet",
    "ETOKEN_ISSUER": "The token's issuer is not accepted",
    "ETOKEN_AUDIENCE": "The token is for another audience",
    "ETOKEN_TYPE": "The token is of another type",
    "ETOKEN_REVOKED": "The token was revoked",
}


class TokenError(Exception):
    """A token that is refused. ``reason`` is a name for programs, as in ``"expired"``."""

    def __init__(self, status: str) -> None:
        super().__init__(f"{_REASONS[status]}.")
        self.reason = status.removeprefix("ETOKEN").strip("_").lower() or "malformed"


class JWT(Scheme):
    """A signed token, as ``Authorization: Bearer`` or in a cookie.

    The keys decide what is accepted: each is pinned to one algorithm. Without ``key`` it is HS256
    by a key derived from ``SECRET_KEY``. Several keys may verify; the first that can signs.
    """

    instances: ClassVar[WeakSet[JWT]] = WeakSet()
    """For the system checks."""

    def __init__(
        self,
        key: Material | JWKS | Sequence[Material] | None = None,
        *,
        algorithm: str | None = None,
        issuer: str | None = None,
        audience: str | Collection[str] | None = None,
        claims: Any = None,
        user: UserOf | None = None,
        cookie: str | None = None,
        trusted_origins: Collection[str] = (),
        leeway: int = LEEWAY_SECONDS,
        age_max: timedelta | None = None,
        typ: str | None = None,
        revoked_within: float | None = None,
        optional: bool = False,
        cache_entries: int = CACHE_ENTRIES,
    ) -> None:
        """``algorithm`` pins secrets and PEM keys; JWKs say it themselves. ``claims``: the type of
        ``request.auth``, decoded by msgspec; by default ``Claims``, a mapping. ``user``: a function
        of the claims, plain or asynchronous, that gives a user or None. ``revoked_within``: seconds
        within which a revocation is known to every process (it needs the app ``quintette.auth``);
        None: tokens hold until they expire."""
        if leeway < 0 or cache_entries < 0 or (revoked_within is not None and revoked_within < 0):
            raise RegistrationError("leeway, cache_entries and revoked_within are not negative")
        self.optional = optional
        self.issuer = issuer
        self.audiences = (audience,) if isinstance(audience, str) else tuple(audience or ())
        self.cookie = cookie
        self.typ = typ
        self.revoked_within = revoked_within
        self.is_derived = key is None
        self.issues_refresh_tokens = False
        self._algorithm = algorithm
        self._given = key
        self._claims_type = claims
        self._find_user = finder(user)
        self.origins = checked_origins(trusted_origins)
        self._leeway = leeway
        self._age_max = age_max
        self._cache_entries = cache_entries
        if key is not None and not isinstance(key, JWKS):
            self._make_keys()  # for its errors
        self.instances.add(self)

    # --- keys ---

    def _make_keys(self) -> tuple[JwtKey, ...]:
        given = self._given
        if given is None:
            return derived_keys()
        if isinstance(given, JWKS):
            return given.keys
        listed = given if isinstance(given, (list, tuple)) else [given]
        try:
            return tuple(make_key(one, self._algorithm) for one in listed)  # type: ignore[arg-type]
        except ValueError as error:
            raise RegistrationError(f"JWT(): {error}") from None

    @cached_property
    def verifier(self) -> _quintette.JwtVerifier:
        kind = self._claims_type
        typed = kind is not None
        verifier = _quintette.JwtVerifier(
            self._make_keys(),
            msgspec.json.Decoder(kind if typed else dict[str, Any]).decode,
            typed=typed,
            issuer=self.issuer,
            audiences=self.audiences,
            typ=self.typ,
            leeway=self._leeway,
            age_max=int(self._age_max.total_seconds()) if self._age_max else 0,
            cache_size=self._cache_entries,
        )
        self._renewal.serve(verifier)
        return verifier

    @cached_property
    def _renewal(self) -> Renewal:
        given = self._given
        return Renewal(given if isinstance(given, JWKS) else None, self.revoked_within)

    @cached_property
    def signing_key(self) -> JwtKey:
        for key in self._make_keys():
            if key.signs:
                return key
        raise RegistrationError("JWT(): none of the keys can sign")

    # --- before handlers ---

    def challenges(self) -> tuple[str, ...]:
        return (challenge(),)

    def build(
        self, route: GuardedRoute, *, required: bool, in_any: bool = False
    ) -> _quintette.AuthGuard:
        return _quintette.JwtGuard(
            verifier=self.verifier,
            unauthorized=unauthorized(self.challenges()),
            required=required,
            refusals={status: _refusal(reason) for status, reason in _REASONS.items()},
            bad_request=_refusal(
                "The request has more than one token", status=400, error="invalid_request"
            ),
            cross_site=answer.problem(403, "This request comes from another site."),
            find_user=self._find_user,
            cookie=self.cookie.encode("latin-1") if self.cookie is not None else None,
            same_site=same_site(self.origins) if self.cookie is not None else None,
            renew=self._renewal.renew if self._renewal.is_needed else None,
        )

    # --- by hand ---

    def verify(self, token: str) -> Any:
        """The claims. TokenError. Neither fetches keys nor reads revocations: behind a guard of the
        same ``JWT`` both are as new as the guard has them."""
        status, claims = self.verifier.verify(token)
        if status != "OK":
            raise TokenError(status)
        return claims

    def issue(self, user: Any, *, lifetime: timedelta = LIFETIME, **claims: Any) -> str:
        """A token for the user (its primary key is ``sub``), with more claims."""
        now = int(time.time())
        content: dict[str, Any] = {
            "sub": str(user.pk),
            "iat": now,
            "exp": now + max(1, int(lifetime.total_seconds())),
            "jti": secrets.token_urlsafe(16),
        }
        if self.issuer is not None:
            content["iss"] = self.issuer
        if self.audiences:
            content["aud"] = self.audiences[0]
        content.update(claims)
        return self.signing_key.sign(msgspec.json.encode(content))


def issue_token(user: Any, *, lifetime: timedelta = LIFETIME, **claims: Any) -> str:
    """A token that ``JWT()`` accepts: signed by the key derived from ``SECRET_KEY``."""
    return default_jwt().issue(user, lifetime=lifetime, **claims)


@cache
def default_jwt() -> JWT:
    """``JWT()``, made once."""
    return JWT()


def _forget(*, setting: str, **kwargs: object) -> None:
    if setting in ("SECRET_KEY", "SECRET_KEY_FALLBACKS"):
        default_jwt.cache_clear()


setting_changed.connect(_forget, dispatch_uid="quintette.auth.jwt")


def challenge(error: str = "", description: str = "") -> str:
    """A value of WWW-Authenticate (RFC 6750, 3)."""
    parts = [_REALM]
    if error:
        parts.append(f'error="{error}"')
    if description:
        parts.append(f'error_description="{description}"')
    return ", ".join(parts)


def _refusal(reason: str, *, status: int = 401, error: str = "invalid_token") -> answer.Answer:
    fields = [("WWW-Authenticate", challenge(error, reason))]
    return answer.problem(status, f"{reason}.", headers=fields)
