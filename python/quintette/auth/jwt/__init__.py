"""Signed tokens (RFC 7519): who asks, without a database."""

from quintette._quintette import Claims, JwtKey
from quintette.auth.jwt.jwks import JWKS
from quintette.auth.jwt.keys import make_key
from quintette.auth.jwt.routes import token_routes
from quintette.auth.jwt.scheme import JWT, TokenError, issue_token

__all__ = [
    "JWKS",
    "JWT",
    "Claims",
    "JwtKey",
    "TokenError",
    "issue_token",
    "make_key",
    "token_routes",
]
