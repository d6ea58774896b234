"""API keys, HTTP Basic and several ways together, and attacks on them."""

from __future__ import annotations

import base64
import hmac
import io
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import connection
from django.http import HttpRequest
from django.test.utils import CaptureQueriesContext, override_settings
from django.utils import timezone
from live import MakeClient

from quintette import API, RegistrationError, _quintette
from quintette.apikeys import keys
from quintette.apikeys.keys import VerifiedKey
from quintette.apikeys.models import APIKey
from quintette.auth import (
    AnyOf,
    APIKeyAuth,
    BasicAuth,
    CurrentAuth,
    CurrentUser,
    HasScope,
    HeaderScheme,
    IsAuthenticated,
    SessionAuth,
)
from quintette.auth import apikey as apikey_module

SECRET = "a" * 32


def _api(*guards: Any) -> API:
    api = API(guards=guards)

    @api.get("/user")
    async def user(user: CurrentUser[User]) -> str:
        return user.username

    @api.get("/user-in-thread")
    def user_in_thread(user: CurrentUser[User]) -> str:
        return user.username

    @api.get("/key")
    async def key(auth: CurrentAuth[VerifiedKey]) -> str:
        return auth.name

    @api.get("/any")
    async def somebody(user: CurrentUser[User | None], auth: CurrentAuth[Any | None]) -> str:
        return f"{user.username if user else None} {type(auth).__name__}"

    @api.get("/write", guards=[HasScope("write")])
    async def write() -> str:
        return "written"

    @api.get("/request")
    async def of_request(request: HttpRequest) -> str:
        return (await request.auser()).get_username()  # type: ignore[no-any-return]

    @api.post("/change")
    async def change() -> str:
        return "changed"

    return api


def _key(text: str) -> dict[str, Any]:
    return {"headers": {"X-API-Key": text}}


@pytest.fixture
def ada(users: dict[str, Any]) -> tuple[APIKey, str]:
    return APIKey.objects.create_key("ada's", user=users["ada"], scopes=["read"])


def test_a_key(connect: MakeClient, ada: tuple[APIKey, str]) -> None:
    client = connect(_api(APIKeyAuth()))
    for _ in range(2):  # and again, when it is known
        for path, said in (
            ("/user", "ada"),
            ("/user-in-thread", "ada"),
            ("/key", "ada's"),
            ("/any", "ada VerifiedKey"),
            ("/request", "ada"),
        ):
            assert client.get(path, **_key(ada[1])).json() == said
    assert client.post("/change", **_key(ada[1])).status_code == 200, "no cookie: no CSRF"


def test_a_scheme(connect: MakeClient, ada: tuple[APIKey, str]) -> None:
    client = connect(_api(APIKeyAuth(scheme="Api-Key")))
    rows = [
        (f"Api-Key {ada[1]}", 200),
        (f"api-key   {ada[1]}", 200),
        (f"Bearer {ada[1]}", 401),
        ("Api-Key", 401),
        (ada[1], 401),
    ]
    for value, status in rows:
        response = client.get("/user", headers={"Authorization": value})
        assert response.status_code == status
        assert status == 200 or response.headers["WWW-Authenticate"] == "Api-Key"
    assert client.get("/user", **_key(ada[1])).status_code == 401


def test_wrong_keys(connect: MakeClient, ada: tuple[APIKey, str]) -> None:
    prefix, text = ada[0].prefix, ada[1]
    other = "B" if text[-1] == "A" else "A"
    client = connect(_api(APIKeyAuth()))
    wrong = [
        "",
        "x",
        text[:-1],
        text + "A",
        text[:-1] + other,
        text.upper(),
        text.replace("q5_", "q6_"),
        f"q5_{'0' * 12}_{text[16:]}",
        f"q5_{prefix}_{'A' * 43}",
        f"{text}, {text}",
        "q5_" + "é" * 12 + "_" + "A" * 43,
        "A" * 5000,
    ]
    for key in wrong:
        response = client.get("/user", **_key(key))
        assert response.status_code == 401, key
        assert response.headers["WWW-Authenticate"] == 'ApiKey header="X-API-Key"'
    twice = client.get("/user", headers=[("X-API-Key", text), ("X-API-Key", text)])
    assert twice.status_code == 401, "nobody may choose which one is meant"
    assert client.get("/user").status_code == 401
    assert client.get("/user", **_key(text)).status_code == 200


def test_what_is_no_key_costs_no_query(ada: tuple[APIKey, str]) -> None:
    from quintette.testing import TestClient

    client = TestClient(_api(APIKeyAuth()))
    with CaptureQueriesContext(connection) as queries:
        for key in ("x", ada[1][:-1], "q5_" + "0" * 300):
            assert client.get("/key", **_key(key)).status_code == 401
    assert len(queries) == 0


def test_digests_are_compared_in_constant_time(
    ada: tuple[APIKey, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also for a prefix that nobody has, so that the time does not tell which ones are taken."""
    from quintette.testing import TestClient

    compared: list[tuple[Any, Any]] = []

    def compare(a: Any, b: Any) -> bool:
        compared.append((a, b))
        return hmac.compare_digest(a, b)

    fake = type("hmac", (), {"compare_digest": staticmethod(compare)})
    monkeypatch.setattr(apikey_module, "hmac", fake)
    client = TestClient(_api(APIKeyAuth()))
    unknown = f"q5_{'0' * 12}_{ada[1][16:]}"
    for key in (ada[1], ada[1][:-1] + "?", unknown):
        client.get("/key", **_key(key))
    assert compared == [
        (ada[0].digest, ada[0].digest),
        ("0" * 64, keys.digest_of(unknown)),
    ]


def test_what_is_stored_is_not_the_key(ada: tuple[APIKey, str]) -> None:
    row = APIKey.objects.filter(pk=ada[0].pk).values().get()
    secret = ada[1].rpartition("_")[2] if ada[1].count("_") == 2 else ada[1][16:]
    assert not any(secret in str(value) for value in row.values())
    assert len(base64.urlsafe_b64decode(ada[1][16:] + "=")) * 8 >= 128
    assert keys.digest_of(ada[1]) == ada[0].digest


def test_keys_that_are_no_longer_good(connect: MakeClient, users: dict[str, Any]) -> None:
    client = connect(_api(APIKeyAuth()))
    now = timezone.now()

    def make(**options: Any) -> tuple[APIKey, str]:
        return APIKey.objects.create_key("k", **options)

    expired = make(user=users["ada"], expires_at=now - timedelta(seconds=1))
    inactive = make(user=users["cy"])
    revoked = make(user=users["ada"])
    assert client.get("/user", **_key(revoked[1])).status_code == 200
    revoked[0].revoke()  # this process forgets it at once
    deleted = make(user=users["bob"])
    assert client.get("/user", **_key(deleted[1])).status_code == 200
    deleted[0].delete()
    for _, text in (expired, inactive, revoked, deleted):
        assert client.get("/user", **_key(text)).status_code == 401


def test_a_known_key_is_forgotten_in_time(ada: tuple[APIKey, str]) -> None:
    """Of another process's change, nobody tells this one: it asks again after cache_seconds."""
    from quintette.testing import TestClient

    now = timezone.now()
    for seconds, statuses in ((0, [200, 401]), (300, [200, 200])):
        client = TestClient(_api(APIKeyAuth(cache_seconds=seconds)))
        APIKey.objects.update(revoked_at=None)
        said = [client.get("/key", **_key(ada[1])).status_code]
        APIKey.objects.update(revoked_at=now)  # sends no signal
        said.append(client.get("/key", **_key(ada[1])).status_code)
        assert said == statuses


def test_a_known_key_is_no_better_than_its_expiry(ada: tuple[APIKey, str]) -> None:
    guard = APIKeyAuth(cache_seconds=300)
    put: list[float] = []

    class Cache:
        def put(self, digest: bytes, value: Any, seconds: float) -> None:
            put.append(seconds)

    guard._cache = type("C", (), {"verified": Cache()})()  # type: ignore[assignment]
    APIKey.objects.update(expires_at=timezone.now() + timedelta(seconds=100))
    import asyncio

    made = asyncio.run(guard._look_up(ada[0].prefix, bytes.fromhex(ada[0].digest)))
    assert made is not None
    assert 0 < put[0] <= 100


def test_scopes(connect: MakeClient, users: dict[str, Any]) -> None:
    """A key has its scopes and no others, whatever its user may."""
    client = connect(_api(APIKeyAuth()))
    for scopes, status in (
        ([], 403),
        (["read"], 403),
        (["write"], 200),
        (["read", "write"], 200),
        (["writer"], 403),
        (["Write"], 403),
        (["write.all"], 403),
    ):
        _, text = APIKey.objects.create_key("k", user=users["root"], scopes=scopes)
        assert client.get("/write", **_key(text)).status_code == status, scopes


def test_a_session_has_no_scopes(connect: MakeClient, session_of: Any) -> None:
    client = connect(_api(AnyOf(APIKeyAuth(), SessionAuth())))
    client.cookies = {"sessionid": session_of("root")}
    assert client.get("/write").status_code == 403


def test_a_machine(connect: MakeClient, users: dict[str, Any]) -> None:
    """A key without a user is somebody, but no user."""
    _, text = APIKey.objects.create_key("cron")
    client = connect(_api(APIKeyAuth(), IsAuthenticated))
    said = [client.get(path, **_key(text)) for path in ("/key", "/any", "/user", "/request")]
    assert [response.status_code for response in said] == [200, 200, 403, 200]
    assert [response.json() for response in said[:2]] == ["cron", "None VerifiedKey"]


def test_last_use_is_written_once_a_minute(ada: tuple[APIKey, str]) -> None:
    from quintette.testing import TestClient

    client = TestClient(_api(APIKeyAuth(cache_seconds=0)))
    times = []
    for before in (None, 30, 61):
        if before is not None:
            APIKey.objects.update(last_used_at=timezone.now() - timedelta(seconds=before))
        old = APIKey.objects.get().last_used_at
        client.get("/key", **_key(ada[1]))
        times.append(APIKey.objects.get().last_used_at != old)
    assert times == [True, False, True]


def test_too_many_ways(users: Any) -> None:
    with pytest.raises(RegistrationError, match="between 1 and 8"):
        _api(AnyOf(*[BasicAuth() for _ in range(9)])).urls  # noqa: B018


# --- declarations and management --------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda: APIKeyAuth("X API Key"),
        lambda: APIKeyAuth(""),
        lambda: APIKeyAuth(scheme="Api:Key"),
        lambda: APIKeyAuth(cache_seconds=301),
        lambda: BasicAuth('a"b'),
        lambda: AnyOf(),  # noqa: PLW0108
        lambda: AnyOf(AnyOf(BasicAuth())),
        lambda: AnyOf(IsAuthenticated()),  # type: ignore[arg-type]
    ],
)
def test_wrong_declarations(make: Any) -> None:
    with pytest.raises(RegistrationError):
        make()


@pytest.mark.parametrize("scopes", ['a"b', "a\\b", "é", "a\x7f"])
def test_scopes_that_are_none(users: Any, scopes: str) -> None:
    with pytest.raises(ValidationError):
        APIKey.objects.create_key("k", scopes=[scopes])


def _run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("apikey", *arguments, stdout=out)
    return out.getvalue().strip()


def test_the_command(users: dict[str, Any]) -> None:
    text = _run("create", "ada's", "--user", "ada", "--scope", "a", "--scope", "b", "--days", "3")
    key = APIKey.objects.get()
    assert (key.digest, key.user, key.scopes) == (keys.digest_of(text), users["ada"], "a b")
    assert key.expires_at is not None
    assert f"{key.prefix}  good  never used  ada  ada's  a b" == _run("list")
    assert key.prefix in _run("revoke", key.prefix)
    assert "revoked" in _run("list")
    for wrong in (
        ("create", "x", "--user", "nobody"),
        ("create", "x", "--days", "0"),
        ("create", "x", "--scope", 'a"'),
        ("revoke", "0"),
    ):
        with pytest.raises(CommandError):
            _run(*wrong)


def test_the_cache() -> None:
    cache = _quintette.AuthCache(3)
    for i in range(5):
        cache.put(bytes([i]), i, 60)
    assert [cache.get(bytes([i])) for i in range(5)] == [None, None, 2, 3, 4]
    cache.put(b"\2", "again", 60)
    cache.put(b"\5", 5, 60)
    assert [cache.get(bytes([i])) for i in range(2, 6)] == ["again", None, 4, 5]
    cache.put(b"\6", 6, 0)
    assert cache.get(b"\6") is None
    cache.drop(b"\5")
    cache.drop(b"unknown")
    assert (cache.get(b"\5"), len(cache)) == (None, 1)
    cache.clear()
    assert len(cache) == 0
    with pytest.raises(ValueError, match="one entry"):
        _quintette.AuthCache(0)


# --- HTTP Basic -------------------------------------------------------------------------


def _basic(text: str | bytes) -> dict[str, Any]:
    raw = text.encode() if isinstance(text, str) else text
    return {"headers": {"Authorization": f"Basic {base64.b64encode(raw).decode()}"}}


def test_basic(connect: MakeClient, users: dict[str, Any]) -> None:
    with override_settings(DEBUG=True):
        client = connect(_api(BasicAuth("atlas")))
        for path in ("/user", "/user-in-thread", "/request"):
            assert client.get(path, **_basic("ada:ada's")).json() == "ada"
        for wrong in (
            "ada:bob's",
            "nobody:x",
            "cy:cy's",
            "ada",
            ":",
            "ada:",
            "ada:ada's\x00",
            "ada\n:ada's",
            "ada:ada's\x7f",
            b"ada:\xff",
            "ada:" + "x" * 2000,
            "",
        ):
            response = client.get("/user", **_basic(wrong))
            assert response.status_code == 401, wrong
            challenge = response.headers["WWW-Authenticate"]
            assert challenge == 'Basic realm="atlas", charset="UTF-8"'
        for header in ("Basic", "Basic YWRhOmFkYSdz!", "Basic YWRhOmFkYSd", "Digest x"):
            response = client.get("/user", headers={"Authorization": header})
            assert response.status_code == 401, header


PRIVATE = [
    # fields, settings, status by the test client, which has no address, and by a socket
    ({}, {}, 403, 200),
    ({"X-Forwarded-For": "192.0.2.1"}, {}, 403, 403),
    ({"Forwarded": "for=192.0.2.1"}, {}, 403, 403),
    ({"X-Forwarded-Proto": "http"}, {}, 403, 403),
    (
        {"X-Forwarded-Proto": "https"},
        {"SECURE_PROXY_SSL_HEADER": ("HTTP_X_FORWARDED_PROTO", "https")},
        200,
        200,
    ),
    (
        {"X-Forwarded-Proto": "http"},
        {"SECURE_PROXY_SSL_HEADER": ("HTTP_X_FORWARDED_PROTO", "https")},
        403,
        403,
    ),
    ({}, {"DEBUG": True}, 200, 200),
]


@pytest.mark.parametrize("row", PRIVATE, ids=range(len(PRIVATE)))
def test_a_password_does_not_travel_in_the_open(
    connect: MakeClient, backend: str, users: dict[str, Any], row: tuple[Any, ...]
) -> None:
    fields, changed, alone, addressed = row
    with override_settings(**changed):
        client = connect(_api(BasicAuth()))
        headers = fields | _basic("ada:ada's")["headers"]
        status = client.get("/user", headers=headers).status_code
    assert status == (alone if backend.startswith("native") else addressed)


# --- a way of the project's own -----------------------------------------------------------


def _ticket(credentials: str, request: HttpRequest) -> Any:
    assert request.method == "GET"
    if credentials == "broken":
        raise ValueError("not the client's fault")
    user = User.objects.filter(username=credentials).first()
    return user and ("ticket", user)


class InThread(HeaderScheme):
    header = "X-Ticket"

    def authenticate(self, credentials: str, request: HttpRequest) -> Any:
        return _ticket(credentials, request)


class Waiting(HeaderScheme):
    scheme = "Ticket"

    async def authenticate(self, credentials: str, request: HttpRequest) -> Any:
        return await sync_to_async(_ticket)(credentials, request)


@pytest.mark.parametrize("way", [InThread, Waiting])
def test_a_way_of_ones_own(connect: MakeClient, users: Any, way: type[HeaderScheme]) -> None:
    client = connect(_api(AnyOf(way(), APIKeyAuth())))

    def ask(text: str) -> Any:
        field = {"X-Ticket": text} if way is InThread else {"Authorization": f"Ticket {text}"}
        return client.get("/user", headers=field)

    assert ask("ada").json() == "ada"
    assert [ask(text).status_code for text in ("nobody", "\xe9", "broken")] == [401, 401, 500]
    names = "Header" if way is InThread else "Ticket"
    assert names in client.get("/user").headers["WWW-Authenticate"]


def test_a_way_without_a_place() -> None:
    with pytest.raises(RegistrationError, match="neither a header nor a scheme"):
        HeaderScheme()


# --- several ways -----------------------------------------------------------------------


def test_any_of(connect: MakeClient, ada: tuple[APIKey, str], session_of: Any) -> None:
    bob = session_of("bob")
    key, session = {"X-API-Key": ada[1]}, {"Cookie": f"sessionid={bob}"}
    basic = _basic("root:root's")["headers"]
    wrong_key, wrong_basic = {"X-API-Key": "x"}, _basic("root:x")["headers"]
    rows: list[tuple[dict[str, str], Any]] = [
        (key, "ada VerifiedKey"),
        (session, "bob NoneType"),
        (basic, "root NoneType"),
        (key | session | basic, "ada VerifiedKey"),
        (session | basic, "bob NoneType"),
        # Wrong ones are refused, not skipped.
        (wrong_key | session | basic, 401),
        (wrong_key, 401),
        (wrong_basic, 401),
        (session | wrong_basic, "bob NoneType"),
        ({"Cookie": "sessionid=x"} | basic, 401),
        ({}, 401),
    ]
    with override_settings(DEBUG=True):
        client = connect(_api(AnyOf(APIKeyAuth(), SessionAuth(), BasicAuth())))
        for headers, expected in rows:
            response = client.get("/any", headers=headers)
            if expected == 401:
                assert response.status_code == 401, headers
                challenges = response.headers["WWW-Authenticate"]
                assert all(name in challenges for name in ("ApiKey", "Session", "Basic"))
            else:
                assert response.json() == expected, headers


def test_any_of_and_other_sites(
    connect: MakeClient, ada: tuple[APIKey, str], session_of: Any
) -> None:
    """Only cookies are sent by browsers unasked; where nobody is required, nobody is checked."""
    key, session = {"X-API-Key": ada[1]}, {"Cookie": f"sessionid={session_of('bob')}"}
    token = {"X-CSRFToken": SECRET}
    csrf = {"Cookie": f"{session['Cookie']}; csrftoken={SECRET}"}
    for optional in (False, True):
        client = connect(_api(AnyOf(APIKeyAuth(), SessionAuth(), optional=optional)))
        rows: list[tuple[dict[str, str], int]] = [
            (key, 200),
            (key | session, 200),
            (session, 403),
            (csrf | token, 200),
            (csrf, 403),
            ({}, 403 if optional else 401),
            ({"Cookie": f"csrftoken={SECRET}"} | token, 200 if optional else 401),
        ]
        for headers, status in rows:
            assert client.post("/change", headers=headers).status_code == status, headers
