"""The bearer token of the case with JWT: one for every server, signed as RFC 7515 says."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

KEY = "a key of the bench that is long enough for HS256"
"""RFC 7518, 3.2: at least as long as the hash, 32 bytes."""
_CLAIMS = {"sub": "1", "iat": 1_700_000_000, "exp": 4_102_444_800}


def _encoded(part: bytes) -> bytes:
    return base64.urlsafe_b64encode(part).rstrip(b"=")


def token() -> str:
    parts: list[dict[str, object]] = [{"alg": "HS256", "typ": "JWT"}, dict(_CLAIMS)]
    signed = b".".join(_encoded(json.dumps(part, separators=(",", ":")).encode()) for part in parts)
    signature = hmac.digest(KEY.encode(), signed, hashlib.sha256)
    return (signed + b"." + _encoded(signature)).decode()
