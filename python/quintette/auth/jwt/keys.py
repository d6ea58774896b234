"""Keys of tokens, from what projects have: secrets, PEM, JWKs, and Django's ``SECRET_KEY``.

A key is pinned to one algorithm when it is made; what a token says about itself never chooses.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Any

from django.conf import settings

from quintette import _quintette
from quintette._quintette import JwtKey

KEYS_MAX = 64

ALGORITHMS = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
    "HS256", "HS384", "HS512",
)  # fmt: skip

_PURPOSE = b"quintette.auth.jwt HS256"
_KID_BYTES = 6

Material = str | bytes | Mapping[str, Any] | JwtKey


def make_key(material: Material, alg: str | None = None) -> JwtKey:
    """Of a secret, PEM (public or private) or a JWK. ``alg`` is for the first two; without
    it HS256, RS256, or what belongs to the curve. ValueError says what is wrong."""
    if isinstance(material, JwtKey):
        return material
    if isinstance(material, Mapping):
        return key_of_jwk(material)
    raw = material.encode() if isinstance(material, str) else bytes(material)
    kind = "pem" if raw.lstrip().startswith(b"-----BEGIN") else "secret"
    if kind == "secret" and alg in ALGORITHMS and not alg.startswith("HS"):
        raise ValueError(
            f"no usable key for {alg}: it is no PEM (the text of a file, not its path) and no JWK"
        )
    return _quintette.JwtKey(kind, (raw,), alg or "")


# --- JWKs -------------------------------------------------------------------------------

_MEMBERS = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x"), "oct": ("k",)}


def key_of_jwk(jwk: Mapping[str, Any], algorithms: Sequence[str] = ALGORITHMS) -> JwtKey:
    """The public (or secret) key of a JWK (RFC 7517). Without ``alg`` it is pinned to the first of
    ``algorithms`` that is for RSA, or to that of its curve."""
    kind = jwk.get("kty")
    if kind not in _MEMBERS:
        raise ValueError(f"unknown type of key {kind!r}")
    if jwk.get("use", "sig") != "sig" or "verify" not in _operations(jwk):
        raise ValueError("the key is not for signatures")
    alg = jwk.get("alg") or _usual(kind, algorithms)
    kid = jwk.get("kid", "")
    if not isinstance(alg, str) or not isinstance(kid, str):
        raise ValueError("alg and kid are strings")
    parts = tuple(_part(jwk, name) for name in _MEMBERS[kind])
    key = JwtKey("secret" if kind == "oct" else kind, parts, alg, kid)
    if key.alg not in algorithms:
        raise ValueError(f"{key.alg} is not among the algorithms allowed")
    return key


def keys_of_set(document: Any, algorithms: Sequence[str] = ALGORITHMS) -> tuple[JwtKey, ...]:
    """Of a JWK Set. Keys that cannot be used are left out (RFC 7517, 5)."""
    listed = document.get("keys") if isinstance(document, Mapping) else None
    if not isinstance(listed, list):
        raise ValueError("a JWK Set has a list of keys")
    made = []
    for jwk in listed[:KEYS_MAX]:
        try:
            made.append(key_of_jwk(jwk if isinstance(jwk, Mapping) else {}, algorithms))
        except ValueError:
            continue
    return tuple(made)


def _operations(jwk: Mapping[str, Any]) -> Sequence[Any]:
    operations = jwk.get("key_ops", ("verify",))
    return operations if isinstance(operations, (list, tuple)) else ()


def _usual(kind: str, algorithms: Sequence[str]) -> str:
    """ "" leaves it to the curve."""
    starts = {"RSA": ("RS", "PS"), "oct": ("HS",)}.get(kind)
    if starts is None:
        return ""
    return next((alg for alg in algorithms if alg.startswith(starts)), "none of those allowed")


def _part(jwk: Mapping[str, Any], name: str) -> bytes:
    value = jwk.get(name)
    if not isinstance(value, str) or not value.isascii():
        raise ValueError(f"the key has no {name}")
    return value.encode() if name == "crv" else decode_base64url(value)


def decode_base64url(text: str) -> bytes:
    """Without padding (RFC 7515, 2)."""
    try:
        return base64.b64decode(
            text.encode() + b"=" * (-len(text) % 4), altchars=b"-_", validate=True
        )
    except binascii.Error as error:
        raise ValueError(f"no base64url: {error}") from None


# --- Django's secret --------------------------------------------------------------------


def derived_keys() -> tuple[JwtKey, ...]:
    """HS256 by ``SECRET_KEY``, which signs, and by ``SECRET_KEY_FALLBACKS``, which only verify:
    what was signed before the secret was changed holds until it expires."""
    return tuple(map(_derived, (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)))


def _derived(secret: str | bytes) -> JwtKey:
    raw = secret.encode() if isinstance(secret, str) else secret
    key = hkdf(raw, _PURPOSE)
    # Names the key without telling anything about it.
    kid = hkdf(raw, _PURPOSE + b" kid").hex()[: 2 * _KID_BYTES]
    return JwtKey("secret", (key,), "HS256", kid)


def hkdf(secret: bytes, purpose: bytes) -> bytes:
    """32 bytes by HKDF with SHA-256 and no salt (RFC 5869): extract, then one block of expand."""
    extracted = hmac.digest(bytes(hashlib.sha256().digest_size), secret, "sha256")
    return hmac.digest(extracted, purpose + b"\x01", "sha256")
