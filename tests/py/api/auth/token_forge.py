"""Tokens as an attacker, or another library, would write them: with the standard library only."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Any

SECRET = b"0123456789abcdef0123456789abcdef"


def encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    made = {"sub": "7", "iat": now, "exp": now + 86_400, **changes}
    return {name: value for name, value in made.items() if value is not None}


def forge(
    header: dict[str, Any] | str | None = None,
    payload: dict[str, Any] | str | bytes | None = None,
    *,
    secret: bytes = SECRET,
    digest: str = "sha256",
    signature: bytes | None = None,
) -> str:
    """Signed by HMAC, unless the signature is given. Texts stand for JSON that is no dict's."""
    head = {"alg": "HS256", "typ": "JWT"} if header is None else header
    body = claims() if payload is None else payload
    text = ".".join(encode(_raw(part)) for part in (head, body))
    if signature is None:
        signature = hmac.digest(secret, text.encode(), getattr(hashlib, digest))
    return f"{text}.{encode(signature)}"


def _raw(part: dict[str, Any] | str | bytes) -> bytes:
    if isinstance(part, bytes):
        return part
    return (part if isinstance(part, str) else json.dumps(part)).encode()
