"""Signed tokens as projects use them, on every host."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.http import HttpRequest
from django.test.utils import override_settings
from live import MakeClient
from token_forge import SECRET, claims, decode, forge
from token_keys import (
    EC_256,
    EC_384,
    EC_521,
    EC_SECP256K1_PUBLIC,
    ED_448,
    ED_25519,
    ED_25519_JWK,
    ENCRYPTED,
    RSA,
    RSA_1024_PUBLIC,
    RSA_PUBLIC,
)

from quintette import API, RegistrationError
from quintette.auth import (
    JWKS,
    JWT,
    AnyOf,
    Claims,
    CurrentAuth,
    CurrentUser,
    HasScope,
    SessionAuth,
    TokenError,
    issue_token,
)
from quintette.auth.jwt import make_key
from quintette.auth.jwt.keys import hkdf


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


class Mine(msgspec.Struct):
    sub: str
    exp: int
    teams: list[str] = []


# --- before handlers --------------------------------------------------------------------


def _api(jwt: Any) -> API:
    api = API(guards=[jwt])

    @api.get("/user")
    async def user(user: CurrentUser[User]) -> str:
        return user.username

    @api.get("/maybe")
    async def maybe(user: CurrentUser[User | None]) -> str | None:
        return user.username if user else None

    @api.get("/request")
    def request(request: HttpRequest) -> list[str]:
        auth = request.auth["sub"] if request.auth else ""  # type: ignore[attr-defined]
        return [request.user.get_username(), auth]

    @api.get("/arequest")
    async def arequest(request: HttpRequest) -> list[str]:
        user = await request.auser()
        return [user.get_username(), type(request.auth).__name__]  # type: ignore[attr-defined]

    @api.get("/scope", guards=[HasScope("read")])
    async def scope() -> str:
        return "read"

    @api.get("/claims")
    async def of_claims(auth: CurrentAuth[Claims]) -> str:
        return str(auth["sub"])

    @api.get("/host")
    async def host(request: HttpRequest) -> str:
        return request.get_host()

    @api.post("/change")
    async def change() -> str:
        return "changed"

    return api


def test_users(connect: MakeClient, users: dict[str, Any]) -> None:
    client = connect(_api(JWT()))
    ada = bearer(issue_token(users["ada"]))
    assert client.get("/user", headers=ada).json() == "ada"
    assert client.get("/request", headers=ada).json() == ["ada", str(users["ada"].pk)]
    assert client.get("/arequest", headers=ada).json() == ["ada", "Claims"]
    # The token is good; there is nobody behind it.
    for subject in (str(users["cy"].pk), "0", "x", "9" * 40, "", "1; DROP TABLE"):
        token = bearer(JWT().issue(users["ada"], sub=subject))
        assert client.get("/user", headers=token).status_code == 403, subject
        assert client.get("/request", headers=token).json() == ["", subject]


def test_scopes(connect: MakeClient, users: dict[str, Any]) -> None:
    client = connect(_api(JWT()))
    for granted, status in (("read", 200), ("write read", 200), ("reads", 403), ("", 403)):
        token = bearer(issue_token(users["ada"], scope=granted))
        assert client.get("/scope", headers=token).status_code == status, granted


GRANTS: list[tuple[dict[str, Any], set[str]]] = [
    ({"scope": "read  write"}, {"read", "write"}),
    ({"scp": ["read", "write me"]}, {"read", "write me"}),
    ({"scopes": ["read"], "scope": "write"}, {"read"}),
    ({"scopes": None, "scope": "read"}, {"read"}),
    ({"scope": ["read", 1, None, ["write"]]}, {"read"}),
    ({"scope": {"read": True}}, set()),
    ({"scope": 1}, set()),
    ({"scope": ""}, set()),
    ({}, set()),
]


def test_what_was_granted() -> None:
    jwt = JWT(SECRET)
    for content, granted in GRANTS:
        # null is no None of Python's: claims() leaves those out.
        payload = json.dumps({**claims(), **content})
        for _ in range(2):
            assert jwt.verify(forge(payload=payload)).scopes == granted, content


def test_claims_that_were_changed_grant_nothing() -> None:
    jwt = JWT(SECRET)
    token = forge(payload=claims(scopes=["read"]))
    made = jwt.verify(token)
    made["scopes"].append("admin")
    assert made.scopes == jwt.verify(token).scopes == {"read"}


def test_nobody(connect: MakeClient, users: dict[str, Any]) -> None:
    client = connect(_api(JWT(optional=True)))
    assert client.get("/maybe").json() is None
    assert client.get("/request").json() == ["", ""]
    answer = client.get("/maybe", headers=bearer("x"))
    assert answer.status_code == 401, "wrong credentials are not none"
    client = connect(_api(JWT()))
    answer = client.get("/maybe")
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="api"', "RFC 6750, 3: no error"


def test_one_of_several_ways(connect: MakeClient, users: dict[str, Any], session_of: Any) -> None:
    client = connect(_api(AnyOf(JWT(), SessionAuth())))
    session = {"Cookie": f"sessionid={session_of('bob')}"}
    ada = bearer(issue_token(users["ada"]))
    assert client.get("/user", headers=ada).json() == "ada"
    assert client.get("/user", headers=session).json() == "bob"
    assert client.get("/user", headers={**session, **ada}).json() == "ada"
    assert client.get("/user", headers={**session, **bearer("x")}).status_code == 401
    assert client.get("/user").status_code == 401


def test_declared_claims(connect: MakeClient) -> None:
    api = API(guards=[JWT(SECRET, claims=Mine)])

    @api.get("/teams")
    async def teams(auth: CurrentAuth[Mine]) -> list[str]:
        auth.teams.append("mine alone")
        return auth.teams

    client = connect(api)
    good = bearer(forge(payload=claims(teams=["a"])))
    for _ in range(3):
        assert client.get("/teams", headers=good).json() == ["a", "mine alone"]
    for wrong in (claims(teams="a"), claims(sub=None), claims(teams=[1])):
        assert client.get("/teams", headers=bearer(forge(payload=wrong))).status_code == 401


def test_claims_are_one_requests_own(connect: MakeClient) -> None:
    api = API(guards=[JWT(SECRET)])

    @api.get("/teams")
    async def teams(auth: CurrentAuth[Claims]) -> list[str]:
        auth["teams"].append("mine alone")
        with pytest.raises(TypeError):
            auth["teams"] = []  # type: ignore[index]
        return list(auth["teams"])

    client = connect(api)
    token = bearer(forge(payload=claims(teams=["a"])))
    for _ in range(3):
        assert client.get("/teams", headers=token).json() == ["a", "mine alone"]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_user_of_the_project(connect: MakeClient, asynchronous: bool) -> None:
    def find(claims: Any) -> Any:
        return User(username=claims["name"]) if claims["name"] else None

    async def afind(claims: Any) -> Any:
        return find(claims)

    client = connect(_api(JWT(SECRET, user=afind if asynchronous else find)))
    token = bearer(forge(payload=claims(name="eve")))
    assert client.get("/user", headers=token).json() == "eve"
    assert client.get("/request", headers=token).json() == ["eve", "7"]
    token = bearer(forge(payload=claims(name="")))
    assert client.get("/user", headers=token).status_code == 403


# --- cookies ----------------------------------------------------------------------------

OURS = "http://ours"  # stands for where the client finds the server
CROSS: list[tuple[str, dict[str, str], int]] = [
    ("the browser says so", {"Sec-Fetch-Site": "same-origin"}, 200),
    ("from another site", {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, 403),
    ("from a subdomain", {"Sec-Fetch-Site": "same-site", "Origin": "http://x.ours"}, 403),
    ("our origin", {"Origin": OURS}, 200),
    ("another one", {"Origin": "https://evil.example"}, 403),
    ("ours with https", {"Origin": OURS.replace("http:", "https:")}, 403),
    ("ours, and more behind it", {"Origin": f"{OURS}1"}, 403),
    ("ours as a prefix", {"Origin": f"{OURS}.evil.example"}, 403),
    ("ours behind an @", {"Origin": f"{OURS}@evil.example"}, 403),
    ("a sandboxed frame", {"Origin": "null"}, 403),
    ("an empty one", {"Origin": ""}, 403),
    ("our page", {"Referer": f"{OURS}/page?x"}, 200),
    ("another page", {"Referer": f"https://evil.example/{OURS}"}, 403),
    ("the origin counts", {"Origin": "https://evil.example", "Referer": f"{OURS}/"}, 403),
    ("a broken address", {"Referer": "http://[::1"}, 403),
    ("nothing is said", {}, 403),
    ("trusted", {"Origin": "https://app.example"}, 200),
    ("trusted by Django's setting", {"Origin": "https://a.b.example"}, 200),
    ("its scheme counts", {"Origin": "http://a.b.example"}, 403),
]


@override_settings(CSRF_TRUSTED_ORIGINS=["https://*.b.example"])
def test_cookies_from_other_sites(connect: MakeClient) -> None:
    jwt = JWT(SECRET, cookie="token", trusted_origins=["https://app.example"])
    client = connect(_api(jwt))
    cookie = {"Cookie": f"a=b; token={forge()}"}
    host = client.get("/host", headers=cookie).json()
    for why, headers, status in CROSS:
        there = {name: value.replace("ours", host) for name, value in headers.items()}
        answer = client.post("/change", headers={**cookie, **there})
        assert answer.status_code == status, why
    evil = {"Origin": "https://evil.example"}
    answer = client.post("/change", headers={**bearer(forge()), **evil})
    assert answer.status_code == 200, "no browser adds the field by itself"


COOKIES: list[tuple[str, str, int]] = [
    ("among others", f"a=b; token={forge()}; c=d", 200),
    ("none", "a=b", 401),
    ("its name has a case", f"Token={forge()}", 401),
    ("twice: one may be tossed by a subdomain", f"token={forge()}; token={forge()}", 400),
    ("a wrong one", "token=x", 401),
    ("an empty one", "token=", 401),
]


def test_cookies(connect: MakeClient) -> None:
    client = connect(_api(JWT(SECRET, cookie="token")))
    for why, cookie, status in COOKIES:
        assert client.get("/claims", headers={"Cookie": cookie}).status_code == status, why
    # The field comes first, and its token is not replaced by the cookie's.
    both = {"Cookie": f"token={forge()}", **bearer("x")}
    assert client.get("/claims", headers=both).status_code == 401
    # Without `cookie` it is not looked at.
    client = connect(_api(JWT(SECRET)))
    assert client.get("/claims", headers={"Cookie": f"token={forge()}"}).status_code == 401


# --- keys -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (SECRET, "HS256"),
        (SECRET * 2, "HS384"),
        (SECRET * 2, "HS512"),
        *((RSA, name) for name in ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")),
        (EC_256, "ES256"),
        (EC_384, "ES384"),
        (EC_521, "ES512"),
        (ED_25519, "EdDSA"),
        (ED_448, "EdDSA"),
    ],
)
def test_every_algorithm(key: Any, algorithm: str) -> None:
    jwt = JWT(key, algorithm=algorithm)
    token = jwt.issue(User(pk=7))
    assert json.loads(decode(token.split(".")[0]))["alg"] == algorithm
    assert jwt.verify(token)["sub"] == "7"
    head, body, signature = token.split(".")
    for wrong in (
        f"{head}.{body}.{signature[:-8]}AAAAAAAA",
        f"{head}.{body[:-4]}AAAA.{signature}",
        f"{head}.{body}.",
    ):
        with pytest.raises(TokenError):
            jwt.verify(wrong)


@pytest.mark.parametrize(
    ("key", "algorithm", "said"),
    [
        (b"x" * 31, None, "too short"),
        (SECRET, "HS384", "too short"),
        (RSA_1024_PUBLIC, None, "too short"),
        (RSA_PUBLIC, "HS256", "no usable key"),
        (RSA_PUBLIC, "ES256", "no usable key"),
        (EC_256, "RS256", "no usable key"),
        (EC_256, "ES384", "no usable key"),
        (ED_25519, "ES256", "no usable key"),
        (EC_SECP256K1_PUBLIC, None, "no usable key"),
        (ENCRYPTED, None, "no usable key"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", None, "no usable key"),
        (SECRET, "none", "unknown algorithm"),
        (SECRET, "hs256", "unknown algorithm"),
        ({"kty": "oct", "k": "eA", "alg": "HS256"}, None, "too short"),
        ({"kty": "OKP", "crv": "X25519", "x": ED_25519_JWK["x"]}, None, "no usable key"),
        ({**ED_25519_JWK, "use": "enc"}, None, "not for signatures"),
        ({**ED_25519_JWK, "key_ops": ["sign"]}, None, "not for signatures"),
        ({**ED_25519_JWK, "alg": "HS256"}, None, "no usable key"),
        ({"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}, None, "no usable key"),
        ({"kty": "RSA", "n": "AQAB"}, None, "has no e"),
        ({"kty": "dRSA"}, None, "unknown type"),
    ],
)
def test_keys_that_cannot_be(key: Any, algorithm: str | None, said: str) -> None:
    with pytest.raises(RegistrationError, match=said):
        JWT(key, algorithm=algorithm)


def test_public_keys_sign_nothing() -> None:
    with pytest.raises(RegistrationError, match="can sign"):
        JWT(RSA_PUBLIC).issue(User(pk=7))
    with pytest.raises(ValueError, match="signs nothing"):
        make_key(RSA_PUBLIC).sign(b"{}")


def test_rfc5869_and_the_derived_key() -> None:
    """HKDF without salt, of one block: A.3's secret."""
    made = hkdf(b"\x0b" * 22, b"")
    assert made.hex() == "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"


@override_settings(SECRET_KEY="n" * 50, SECRET_KEY_FALLBACKS=["o" * 50])
def test_a_changed_secret_key() -> None:
    with override_settings(SECRET_KEY="o" * 50, SECRET_KEY_FALLBACKS=[]):
        old = JWT().issue(User(pk=7))
    with override_settings(SECRET_KEY="x" * 50, SECRET_KEY_FALLBACKS=[]):
        foreign = JWT().issue(User(pk=7))
    jwt = JWT()
    assert jwt.verify(old)["sub"] == jwt.verify(jwt.issue(User(pk=7)))["sub"] == "7"
    with pytest.raises(TokenError, match="key is unknown"):
        jwt.verify(foreign)
    # The key is for tokens alone: Django's own signatures are others'.
    with pytest.raises(TokenError):
        jwt.verify(forge(secret=b"n" * 50))


def test_several_keys() -> None:
    jwt = JWT([EC_256, RSA_PUBLIC])
    assert jwt.verify(jwt.issue(User(pk=1)))["sub"] == "1"
    assert jwt.verify(JWT(RSA).issue(User(pk=2)))["sub"] == "2"
    with pytest.raises(TokenError) as error:
        jwt.verify(JWT(ED_25519).issue(User(pk=3)))
    assert error.value.reason == "alg"


def test_what_is_issued() -> None:
    jwt = JWT(SECRET, issuer="us", audience=["api", "web"])
    made = jwt.verify(jwt.issue(User(pk=7), lifetime=timedelta(hours=1), scope="read"))
    assert made["sub"] == "7"
    assert (made["iss"], made["aud"], made["scope"]) == ("us", "api", "read")
    assert made["exp"] - made["iat"] == 3600
    other = jwt.verify(jwt.issue(User(pk=7)))
    assert other["jti"] != made["jti"]
    assert dict(made) == {**made} == json.loads(made.payload)
    assert made == dict(made)
    assert made != other
    assert ("sub" in made, made.get("x", 1), len(made)) == (True, 1, 7)


# --- what is kept of verified tokens ----------------------------------------------------


def test_the_cache_ends_with_the_token() -> None:
    jwt = JWT(SECRET, leeway=0)
    verify = jwt.verifier.verify
    token = forge(payload=claims(iat=None, exp=1000))
    assert verify(token, 999)[0] == "OK"
    assert verify(token, 1000)[0] == "ETOKEN_EXPIRED", "found, and past its end"
    assert verify(token, 999)[0] == "OK"


def test_the_cache_ends_with_the_keys() -> None:
    jwt = JWT(SECRET)
    token = forge()
    assert jwt.verify(token)
    keys = jwt.verifier.keys
    jwt.verifier.keys = (make_key(b"y" * 32),)
    with pytest.raises(TokenError, match="signature"):
        jwt.verify(token)
    jwt.verifier.keys = keys
    assert jwt.verify(token)


def test_the_cache_ends_with_revocation() -> None:
    jwt = JWT(SECRET)
    token, other = forge(payload=claims(jti="a/b")), forge(payload=claims(jti="c"))
    escaped = forge(payload=json.dumps(claims(jti="a/b")).replace("a/b", "\\u0061\\/b"))
    for good in (token, other, escaped):
        assert jwt.verify(good)
    jwt.verifier.revoked = frozenset({"a/b"})
    for refused in (token, escaped):
        with pytest.raises(TokenError, match="revoked"):
            jwt.verify(refused)
    assert jwt.verify(other)


def test_the_cache_keeps_no_other_token() -> None:
    """Not even one with the same payload and another signature."""
    jwt = JWT(SECRET)
    token = forge()
    assert jwt.verify(token)
    for changed in (token[:-2] + "AA", token.replace(".", "..", 1), token + "."):
        with pytest.raises(TokenError):
            jwt.verify(changed)


def test_the_cache_is_bounded() -> None:
    jwt = JWT(SECRET, cache_entries=4)
    for number in range(100):
        assert jwt.verify(forge(payload=claims(sub=str(number))))["sub"] == str(number)


def test_many_in_turn() -> None:
    """Each gets its own claims, found or verified anew."""
    jwt = JWT(SECRET, cache_entries=16)
    tokens = [(str(number), forge(payload=claims(sub=str(number)))) for number in range(50)]
    for _ in range(5):
        for subject, token in tokens:
            assert jwt.verify(token)["sub"] == subject


# --- the project's settings -------------------------------------------------------------


def test_declarations_that_cannot_be() -> None:
    for options in ({"leeway": -1}, {"cache_entries": -1}, {"revoked_within": -1}):
        with pytest.raises(RegistrationError):
            JWT(SECRET, **options)  # type: ignore[arg-type]
    for origin in ("example.com", "https://example.com/", "https://"):
        with pytest.raises(RegistrationError, match="no origin"):
            JWT(SECRET, cookie="t", trusted_origins=[origin])


@override_settings(ROOT_URLCONF=__name__)
def test_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    from weakref import WeakSet

    from quintette.auth.checks import check_tokens

    monkeypatch.setattr(JWT, "instances", WeakSet())
    kept = [JWT(SECRET)]
    assert check_tokens(None) == []
    kept.append(JWT())
    with override_settings(SECRET_KEY="x" * 31):
        assert [one.id for one in check_tokens(None)] == ["quintette.E010"]
    with override_settings(SECRET_KEY="x" * 32):
        assert check_tokens(None) == []
        kept.append(JWT(SECRET, revoked_within=5))
        with override_settings(INSTALLED_APPS=["quintette"]):
            assert [one.id for one in check_tokens(None)] == ["quintette.E011"]


urlpatterns: list[Any] = []


def test_no_migration_is_missing(database: None) -> None:
    call_command("makemigrations", "quintette_auth", check=True, dry_run=True, verbosity=0)


def test_jwks_is_a_set() -> None:
    with pytest.raises(ValueError, match="no key that can be used"):
        JWKS({"keys": [{"kty": "oct", "k": "eA"}]})
    for document in ({}, {"keys": {}}):
        with pytest.raises(ValueError, match="list of keys"):
            JWKS(document)
