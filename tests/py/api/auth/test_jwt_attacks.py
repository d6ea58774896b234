"""Attacks on signed tokens, each against every host."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from live import MakeClient
from token_forge import SECRET, claims, encode, forge
from token_keys import (
    EC_256,
    EC_256_JWK,
    EC_256_PUBLIC,
    ED_25519_PUBLIC,
    RSA,
    RSA_JWK,
    RSA_PUBLIC,
)

from quintette import API
from quintette._quintette import JwtKey
from quintette.auth import JWKS, JWT, Claims, CurrentAuth
from quintette.auth.jwt import make_key

NOW = int(time.time())


def _api(**options: Any) -> API:
    api = API(guards=[JWT(**options)])

    @api.get("/who")
    async def who(auth: CurrentAuth[Claims]) -> str:
        return str(auth["sub"])

    return api


def _ask(client: Any, token: str) -> tuple[int, str]:
    answer = client.get("/who", headers={"Authorization": f"Bearer {token}"})
    return answer.status_code, answer.headers.get("WWW-Authenticate", "")


def _signed(key: str, payload: str = "") -> str:
    return make_key(key).sign((payload or json.dumps(claims())).encode())


def _with_header(token: str, **header: Any) -> str:
    """A token with another header in front of the same payload and signature."""
    return ".".join([encode(json.dumps(header).encode()), *token.split(".")[1:]])


GOOD = forge()
ED_AS_HMAC = forge({"alg": "EdDSA"}, secret=ED_25519_PUBLIC.encode())
ZEROS = bytes(64)

# What is sent to JWT(key=SECRET), issuer "us", audience "api" where the claims say so.
HMAC_ROWS: dict[str, str] = {
    "RFC 7519, 6: unsecured": forge({"alg": "none"}, signature=b""),
    "CVE-2015-9235: none, with a signature": forge({"alg": "none"}),
    "CVE-2020-28042: nOnE": forge({"alg": "nOnE"}, signature=b""),
    "None": forge({"alg": "None"}, signature=b""),
    "no algorithm": forge({"typ": "JWT"}),
    "algorithm is null": forge({"alg": None}),
    "another digest than the key's": forge({"alg": "HS512"}, digest="sha512"),
    "no signature": GOOD.rpartition(".")[0] + ".",
    "two parts": GOOD.rpartition(".")[0],
    "the signature of another token": GOOD.rpartition(".")[0]
    + "."
    + forge(payload=claims(sub="8")).rpartition(".")[2],
    "another secret": forge(secret=b"x" * 32),
    "an empty secret": forge(secret=b""),
    "CVE-2018-0114: a key in the header": forge(
        {"alg": "HS256", "jwk": {"kty": "oct", "k": "eA"}}, secret=b"x"
    ),
    "jku": forge({"alg": "HS256", "jku": "http://127.0.0.1:9/keys"}, secret=b"x"),
    "x5u and x5c": forge(
        {"alg": "RS256", "x5u": "http://127.0.0.1:9/", "x5c": ["MIIB"]}, signature=b"x" * 256
    ),
    "kid as a path": forge({"alg": "HS256", "kid": "../../../../dev/null"}, secret=b""),
    "kid as SQL": forge({"alg": "HS256", "kid": "x' UNION SELECT 'key"}, secret=b"key"),
    "kid as a command": forge({"alg": "HS256", "kid": "key|id"}, secret=b""),
    "kid as a number": forge({"alg": "HS256", "kid": 0}),
    "RFC 7515, 4.1.11: crit": forge({"alg": "HS256", "crit": ["x"], "x": 1}),
    "crit of a name that is registered": forge({"alg": "HS256", "crit": ["alg"]}),
    "RFC 7797: unencoded payload": forge({"alg": "HS256", "b64": False, "crit": ["b64"]}),
    "RFC 7515, 5.2: alg twice": forge('{"alg":"none","alg":"HS256"}'),
    "RFC 7519, 4: sub twice": forge(payload=f'{{"sub":"7","sub":"1","exp":{NOW + 86_400}}}'),
    "sub twice, spelt differently": forge(
        payload=f'{{"sub":"7","s\\u0075b":"1","exp":{NOW + 86_400}}}'
    ),
    "RFC 7515, 2: padding": GOOD + "=",
    "padding of the payload": GOOD.replace(".", "==.", 1),
    "white space in the signature": GOOD[:-5] + " " + GOOD[-5:],
    "base64, not base64url": GOOD[:-4] + "++//",
    "something behind the signature": GOOD + ".x",
    "RFC 7516: encrypted": GOOD + "." + GOOD.replace(".", "", 1),
    "huge": forge(payload=claims(x="x" * 13_000)),
    "deep": forge(payload='{"exp":9999999999,"x":' + "[" * 100 + "]" * 100 + "}"),
    "wide": forge(payload="{" + ",".join(f'"c{i}":0' for i in range(200)) + "}"),
    "expired": forge(payload=claims(exp=NOW - 60)),
    "expires at the first second": forge(payload=claims(exp=1)),
    "expires never": forge(payload=claims(exp=None)),
    "expires as a text": forge(payload=claims(exp="9999999999")),
    "expires at infinity": forge(payload=f'{{"sub":"7","exp":1e999,"iat":{NOW}}}'),
    "expires at NaN": forge(payload='{"sub":"7","exp":NaN}'),
    "not valid yet": forge(payload=claims(nbf=NOW + 86_400)),
    "issued in the future": forge(payload=claims(iat=NOW + 86_400)),
    "sub is no text": forge(payload=claims(sub=7)),
    "claims are a list": forge(payload="[]"),
    "claims are no JSON": forge(payload="sub=7"),
    "no UTF-8": forge(payload=b'{"sub":"\xff","exp":9999999999}'),
    "for an audience, and there is none here": forge(payload=claims(aud="api")),
}


def test_tokens_with_a_secret(connect: MakeClient) -> None:
    client = connect(_api(key=SECRET))
    assert _ask(client, GOOD)[0] == 200
    for why, token in HMAC_ROWS.items():
        status, challenge = _ask(client, token)
        assert (status, challenge[:44]) == (401, 'Bearer realm="api", error="invalid_token", e'), (
            why
        )
    assert _ask(client, GOOD)[0] == 200


# Every key of one kind against what is signed for another.
CONFUSION: dict[str, tuple[str, str]] = {
    "CVE-2015-9235: the public key as secret": (
        RSA_PUBLIC, forge({"alg": "HS256"}, secret=RSA_PUBLIC.encode())
    ),
    "without its last line's end": (
        RSA_PUBLIC, forge({"alg": "HS256"}, secret=RSA_PUBLIC.strip().encode())
    ),
    "CVE-2022-29217: an EC key as secret": (
        EC_256_PUBLIC, forge({"alg": "HS256"}, secret=EC_256_PUBLIC.encode())
    ),
    "an Ed25519 key as secret": (ED_25519_PUBLIC, ED_AS_HMAC),
    "the RSA key's signature, named PS256": (RSA_PUBLIC, _with_header(_signed(RSA), alg="PS256")),
    "the RSA key's signature, named RS512": (RSA_PUBLIC, _with_header(_signed(RSA), alg="RS512")),
    "EC for an RSA key": (RSA_PUBLIC, _signed(EC_256)),
    "RSA for an EC key": (EC_256_PUBLIC, _signed(RSA)),
    "CVE-2022-21449: a signature of zeros": (
        EC_256_PUBLIC, forge({"alg": "ES256"}, signature=ZEROS)
    ),
    "an empty signature": (EC_256_PUBLIC, forge({"alg": "ES256"}, signature=b"")),
    "DER in the place of r and s": (
        EC_256_PUBLIC, forge({"alg": "ES256"}, signature=b"\x30\x06\x02\x01\x01\x02\x01\x01")
    ),
    "an empty RSA signature": (RSA_PUBLIC, forge({"alg": "RS256"}, signature=b"")),
    "an RSA signature of one": (
        RSA_PUBLIC, forge({"alg": "RS256"}, signature=bytes(255) + b"\x01")
    ),
    "an Ed25519 signature of zeros": (
        ED_25519_PUBLIC, forge({"alg": "EdDSA"}, signature=ZEROS)
    ),
}  # fmt: skip


def test_keys_of_another_kind(connect: MakeClient) -> None:
    for why, (key, token) in CONFUSION.items():
        assert _ask(connect(_api(key=key)), token)[0] == 401, why
    assert _ask(connect(_api(key=RSA_PUBLIC)), _signed(RSA))[0] == 200
    assert _ask(connect(_api(key=EC_256_PUBLIC)), _signed(EC_256))[0] == 200


def test_keys_side_by_side(connect: MakeClient) -> None:
    """The name of one key does not lend another one's algorithm to it."""
    client = connect(_api(key=JWKS({"keys": [RSA_JWK, EC_256_JWK]})))
    rsa, ec = _signed(RSA), _signed(EC_256)
    assert _ask(client, _named(RSA, "RS256", "rsa"))[0] == 200
    assert _ask(client, _named(EC_256, "ES256", "ec"))[0] == 200
    for why, token in {
        "the other key's name": _named(RSA, "RS256", "ec"),
        "a name that there is not": _named(RSA, "RS256", "other"),
        "the name of a key, HMAC by its public part": forge(
            {"alg": "HS256", "kid": "rsa"}, secret=RSA_PUBLIC.encode()
        ),
        "HMAC by the modulus": forge({"alg": "HS256", "kid": "rsa"}, secret=RSA_JWK["n"].encode()),
        "signed without the name": _with_header(rsa, alg="RS256", kid="rsa"),
        "signed for the other algorithm": _with_header(ec, alg="RS256", kid="rsa"),
    }.items():
        assert _ask(client, token)[0] == 401, why


def _named(key: str, alg: str, kid: str) -> str:
    return JwtKey("pem", (key.encode(),), alg, kid).sign(json.dumps(claims()).encode())


RULES: list[tuple[str, dict[str, Any], dict[str, Any], int]] = [
    ("our issuer", {"issuer": "us"}, {"iss": "us"}, 200),
    ("another", {"issuer": "us"}, {"iss": "them"}, 401),
    ("none", {"issuer": "us"}, {}, 401),
    ("CVE-2024-53861: a part of it", {"issuer": "us"}, {"iss": "u"}, 401),
    ("a list of issuers", {"issuer": "us"}, {"iss": ["us"]}, 401),
    ("our audience", {"audience": "api"}, {"aud": "api"}, 200),
    ("among others", {"audience": "api"}, {"aud": ["x", "api"]}, 200),
    ("one of ours", {"audience": ["api", "web"]}, {"aud": "web"}, 200),
    ("another audience", {"audience": "api"}, {"aud": "apis"}, 401),
    ("an object", {"audience": "api"}, {"aud": {"api": 1}}, 401),
    ("no audience", {"audience": "api"}, {}, 401),
    ("an empty list", {"audience": "api"}, {"aud": []}, 401),
    ("within the leeway", {"leeway": 86_400}, {"exp": NOW - 60}, 200),
    ("without one", {"leeway": 0}, {"exp": NOW - 60}, 401),
    ("a type", {"typ": "at+jwt"}, {}, 401),
]


def test_rules(connect: MakeClient) -> None:
    for why, options, content, status in RULES:
        client = connect(_api(key=SECRET, **options))
        assert _ask(client, forge(payload=claims(**content)))[0] == status, why


HEADERS: list[tuple[str, list[tuple[str, str]], int]] = [
    ("as RFC 6750 has it", [("Authorization", f"Bearer {GOOD}")], 200),
    ("schemes have no case (RFC 9110, 11.1)", [("authorization", f"bEARER {GOOD}")], 200),
    ("more than one space", [("Authorization", f"Bearer   {GOOD}")], 200),
    ("no credentials", [], 401),
    ("another scheme", [("Authorization", f"Basic {GOOD}")], 401),
    ("no scheme", [("Authorization", GOOD)], 401),
    ("no token", [("Authorization", "Bearer")], 401),
    ("two tokens", [("Authorization", f"Bearer {GOOD} {GOOD}")], 401),
    ("a parameter", [("Authorization", f"Bearer token={GOOD}")], 401),
    ("in the query: not looked at (RFC 9700, 4.3.2)", [], 401),
]


@pytest.mark.parametrize(("why", "headers", "status"), HEADERS, ids=[row[0] for row in HEADERS])
def test_where_the_token_is(
    connect: MakeClient, why: str, headers: list[tuple[str, str]], status: int
) -> None:
    client = connect(_api(key=SECRET))
    answer = client.get(f"/who?access_token={GOOD}", headers=dict(headers))
    assert answer.status_code == status
