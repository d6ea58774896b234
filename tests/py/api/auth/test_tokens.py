"""Refresh tokens and revocation: rotation, reuse, and what ends a login."""

from __future__ import annotations

import asyncio
import io
import logging
import threading
from datetime import timedelta
from http.cookies import SimpleCookie
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.test.utils import modify_settings, override_settings
from django.utils import timezone
from live import MakeClient

from quintette import API
from quintette.auth import JWT, Claims, CurrentAuth, token_routes


def _tokens() -> Any:
    from quintette.auth import tokens

    return tokens


def _api(jwt: JWT | None = None, **options: Any) -> API:
    jwt = jwt or JWT()
    api = API(guards=[jwt])
    api.include(token_routes(jwt, **options))

    @api.get("/who")
    async def who(auth: CurrentAuth[Claims]) -> str:
        return str(auth["sub"])

    return api


def _obtain(client: Any, name: str = "ada", password: str = "") -> Any:
    body = {"username": name, "password": password or f"{name}'s"}
    return client.post("/token", json=body)


def _refresh(client: Any, token: str) -> Any:
    return client.post("/token/refresh", json={"refresh_token": token})


def _who(client: Any, token: str) -> int:
    answer = client.get("/who", headers={"Authorization": f"Bearer {token}"})
    return int(answer.status_code)


# --- routes -----------------------------------------------------------------------------


def test_routes(connect: MakeClient, users: dict[str, Any]) -> None:
    client = connect(_api(claims=lambda user: {"name": user.get_username()}))
    answer = _obtain(client)
    first = answer.json()
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store", "RFC 6749, 5.1"
    assert (first["token_type"], first["expires_in"]) == ("Bearer", 300)
    assert JWT().verify(first["access_token"])["name"] == "ada"
    assert _who(client, first["access_token"]) == 200
    assert _who(client, first["refresh_token"]) == 401, "it is for refreshing alone"

    answer = _refresh(client, first["refresh_token"])
    second = answer.json()
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert second["refresh_token"] != first["refresh_token"]
    assert JWT().verify(second["access_token"])["name"] == "ada"

    for _ in range(2):
        answer = client.post("/token/revoke", json={"refresh_token": second["refresh_token"]})
        assert answer.status_code == 204, "RFC 7009, 2.2: twice is no error"
    assert _refresh(client, second["refresh_token"]).status_code == 401
    answer = client.post("/token/revoke", json={"refresh_token": "unknown"})
    assert answer.status_code == 204


WRONG: list[tuple[str, Any, int]] = [
    ("a wrong password", {"username": "ada", "password": "x"}, 401),
    ("nobody", {"username": "nobody", "password": "x"}, 401),
    ("inactive", {"username": "cy", "password": "cy's"}, 401),
    ("no password", {"username": "ada"}, 422),
    ("an empty one", {"username": "ada", "password": ""}, 422),
    ("a huge one", {"username": "ada", "password": "x" * 5000}, 422),
    ("another type", {"username": ["ada"], "password": "ada's"}, 422),
    ("more", {"username": "ada", "password": "ada's", "is_staff": True}, 422),
]


def test_wrong_passwords(connect: MakeClient, users: dict[str, Any]) -> None:
    client = connect(_api())
    for why, body, status in WRONG:
        answer = client.post("/token", json=body)
        assert answer.status_code == status, why
        if status == 401:
            assert answer.headers["WWW-Authenticate"] == 'Bearer realm="api"', why
            assert answer.headers["Cache-Control"] == "no-store", why


def test_reuse(
    connect: MakeClient, users: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """RFC 9700, 4.14.2: whoever was first, both are shut out; another login is not touched."""
    client = connect(_api())
    stolen, other = _obtain(client).json(), _obtain(client).json()
    thief = _refresh(client, stolen["refresh_token"]).json()
    with caplog.at_level(logging.WARNING, "django.security.tokens"):
        assert _refresh(client, stolen["refresh_token"]).status_code == 401
    assert "used again" in caplog.text
    assert stolen["refresh_token"] not in caplog.text
    assert _refresh(client, thief["refresh_token"]).status_code == 401
    assert _refresh(client, other["refresh_token"]).status_code == 200


def test_refresh_tokens_of_strangers(connect: MakeClient, users: dict[str, Any]) -> None:
    client = connect(_api())
    good = _obtain(client).json()
    for wrong in (
        "x",
        good["refresh_token"] + "x",
        good["refresh_token"][:-1],
        good["access_token"],
        "\ud7ff" * 20,
        "x" * 4096,
    ):
        answer = _refresh(client, wrong)
        assert answer.status_code == 401
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
    assert _refresh(client, good["refresh_token"]).status_code == 200


def test_reuse_is_kept_with_atomic_requests(users: dict[str, Any]) -> None:
    """The refusal is an error, and the revocation stays all the same."""
    from quintette.testing import TestClient

    options = connection.settings_dict
    api = _api()
    client = TestClient(api, backend="django")
    first = _obtain(client).json()
    assert _refresh(client, first["refresh_token"]).status_code == 200
    options["ATOMIC_REQUESTS"] = True
    try:
        assert _refresh(client, first["refresh_token"]).status_code == 401
    finally:
        options["ATOMIC_REQUESTS"] = False
    assert _tokens().Login.objects.get().revoked_at is not None


# --- what ends a login ------------------------------------------------------------------


def _refused(token: str) -> str:
    with pytest.raises(_tokens().RefreshError) as error:
        _tokens().refresh(token)
    return str(error.value.reason)


def test_what_ends_a_login(users: dict[str, Any]) -> None:
    tokens = _tokens()
    ada = users["ada"]

    pair = tokens.log_in(ada, refresh_lifetime=timedelta(seconds=-1))
    assert _refused(pair.refresh_token) == "expired"
    pair = tokens.log_in(ada, login_lifetime=timedelta(seconds=-1))
    assert _refused(pair.refresh_token) == "expired"

    pair = tokens.log_in(ada)
    ada.is_active = False
    ada.save()
    assert _refused(pair.refresh_token) == "user"
    ada.is_active = True
    ada.save()

    ada.set_password("another")
    ada.save()
    assert _refused(pair.refresh_token) == "user", "the password was changed"

    pair = tokens.log_in(ada)
    bob = tokens.log_in(users["bob"])
    tokens.revoke_user(ada)
    assert _refused(pair.refresh_token) == "revoked"
    assert tokens.refresh(bob.refresh_token)

    pair = tokens.log_in(ada)
    ada.delete()
    assert _refused(pair.refresh_token) == "unknown"


def test_a_refresh_does_not_prolong_the_login(users: dict[str, Any]) -> None:
    tokens = _tokens()
    pair = tokens.log_in(users["ada"], login_lifetime=timedelta(days=1))
    tokens.refresh(pair.refresh_token, refresh_lifetime=timedelta(days=14))
    login = tokens.Login.objects.get()
    assert {one.expires_at for one in login.refresh_tokens.all()} == {login.expires_at}


@override_settings(SECRET_KEY="n" * 50)
def test_a_changed_secret_key_and_its_fallback(users: dict[str, Any]) -> None:
    tokens = _tokens()
    with override_settings(SECRET_KEY="o" * 50):
        kept, lost = tokens.log_in(users["ada"]), tokens.log_in(users["ada"])
    with override_settings(SECRET_KEY_FALLBACKS=["o" * 50]):
        assert tokens.refresh(kept.refresh_token)
    assert _refused(lost.refresh_token) == "user"


def test_no_token_is_stored(users: dict[str, Any]) -> None:
    pair = _tokens().log_in(users["ada"])
    with connection.cursor() as cursor:
        for table in ("login", "refreshtoken", "revokedtoken"):
            cursor.execute(f"SELECT * FROM quintette_auth_{table}")
            assert pair.refresh_token not in str(cursor.fetchall())
            assert pair.access_token not in str(cursor.fetchall())


def test_a_transaction_around_it(users: dict[str, Any]) -> None:
    tokens = _tokens()
    with transaction.atomic():
        pair = tokens.log_in(users["ada"])
        transaction.set_rollback(True)
    assert _refused(pair.refresh_token) == "unknown"


def test_two_at_once(users: dict[str, Any]) -> None:
    """Of two that use the same token one at most gets new ones."""
    tokens = _tokens()
    pair = tokens.log_in(users["ada"])
    barrier = threading.Barrier(2, timeout=60)
    got: list[Any] = []

    def use() -> None:
        barrier.wait()
        try:
            got.append(tokens.refresh(pair.refresh_token))
        except Exception as error:
            got.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=use) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(got) == 2
    assert sum(isinstance(one, tokens.TokenPair) for one in got) <= 1


# --- access tokens ----------------------------------------------------------------------


def test_revoked_access_tokens(connect: MakeClient, users: dict[str, Any]) -> None:
    """Every request reads the revocations: known at once, on every host."""
    tokens = _tokens()
    jwt = JWT(revoked_within=0)
    client = connect(_api(jwt))
    pair, other = (tokens.log_in(users["ada"], jwt=jwt) for _ in range(2))
    assert _who(client, pair.access_token) == _who(client, other.access_token) == 200
    tokens.revoke(pair.refresh_token)
    answer = client.get("/who", headers={"Authorization": f"Bearer {pair.access_token}"})
    assert answer.status_code == 401
    assert "revoked" in answer.headers["WWW-Authenticate"]
    assert _who(client, other.access_token) == 200
    tokens.revoke_token(jwt.verify(other.access_token)["jti"])
    assert _who(client, other.access_token) == 401


def test_revocations_are_read_within_the_time(users: dict[str, Any]) -> None:
    from quintette.testing import TestClient

    tokens = _tokens()
    jwt = JWT(revoked_within=3600)
    client = TestClient(_api(jwt))
    pair = tokens.log_in(users["ada"], jwt=jwt)
    assert _who(client, pair.access_token) == 200
    tokens.revoke(pair.refresh_token)
    assert _who(client, pair.access_token) == 200, "as is said of it"
    # The time has passed.
    jwt._renewal._revoked_due_at = jwt.verifier.fresh_until = 0.0
    assert _who(client, pair.access_token) == 401
    assert jwt.verifier.fresh_until > 0


class SlowReads:
    """Reads of the revocations, each of which waits until it is let go; the first then fails."""

    def __init__(self, read: Any) -> None:
        self._read = read
        self.begun: asyncio.Queue[asyncio.Event] = asyncio.Queue()
        self.count = 0

    async def __call__(self) -> Any:
        self.count += 1
        fails, go = self.count == 1, asyncio.Event()
        self.begun.put_nowait(go)
        await go.wait()
        if fails:
            raise OSError("no database")
        return await self._read()


def test_who_comes_while_revocations_are_read(
    users: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that has just begun knows none: whoever asks it waits for the one reading. Where
    that fails another one does it for the others."""
    from quintette.testing import AsyncTestClient

    tokens = _tokens()
    jwt = JWT(revoked_within=3600)
    client = AsyncTestClient(_api(jwt), raise_errors=False)
    pair = tokens.log_in(users["ada"], jwt=jwt)
    tokens.revoke(pair.refresh_token)
    headers = {"Authorization": f"Bearer {pair.access_token}"}

    async def test() -> None:
        reads = SlowReads(tokens.arevoked_ids)
        monkeypatch.setattr(tokens, "arevoked_ids", reads)
        asked = [asyncio.ensure_future(client.get("/who", headers=headers)) for _ in range(4)]
        for _ in range(2):
            go = await asyncio.wait_for(reads.begun.get(), 10)
            go.set()
        answers = await asyncio.gather(*asked)
        assert sorted(answer.status_code for answer in answers) == [401, 401, 401, 500]
        assert reads.count == 2

    asyncio.run(test())


def test_former_revocations_do_for_the_time_that_was_said(
    users: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While they are read anew, and not for longer, however long that takes."""
    from quintette.testing import AsyncTestClient

    tokens = _tokens()
    jwt = JWT(revoked_within=3600)
    client = AsyncTestClient(_api(jwt), raise_errors=False)
    headers = {"Authorization": f"Bearer {tokens.log_in(users['ada'], jwt=jwt).access_token}"}

    async def ask() -> int:
        return (await client.get("/who", headers=headers)).status_code

    async def test() -> None:
        assert await ask() == 200
        reads = SlowReads(tokens.arevoked_ids)
        monkeypatch.setattr(tokens, "arevoked_ids", reads)
        renewal: Any = jwt._renewal
        renewal._revoked_due_at = jwt.verifier.fresh_until = 0.0
        reader = asyncio.ensure_future(ask())
        go = await asyncio.wait_for(reads.begun.get(), 10)
        assert await ask() == 200, "by the former ones"
        renewal._revoked_until = 0.0
        late = asyncio.ensure_future(ask())
        await asyncio.wait([late], timeout=0.1)
        assert not late.done()
        go.set()
        (await asyncio.wait_for(reads.begun.get(), 10)).set()
        assert await asyncio.gather(reader, late) == [500, 200]

    asyncio.run(test())


def test_revocations_that_cannot_be_read(
    users: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No token is accepted by a list that is older than promised."""
    from quintette.testing import TestClient

    tokens = _tokens()
    jwt = JWT(revoked_within=3600)
    client = TestClient(_api(jwt), raise_errors=False)
    pair = tokens.log_in(users["ada"], jwt=jwt)

    async def fail() -> frozenset[str]:
        raise OSError("no database")

    with monkeypatch.context() as patch:
        patch.setattr(tokens, "arevoked_ids", fail)
        for _ in range(2):
            assert _who(client, pair.access_token) == 500
    assert _who(client, pair.access_token) == 200


def test_purge(users: dict[str, Any]) -> None:
    tokens = _tokens()
    now = timezone.now()
    kept = tokens.log_in(users["ada"])
    tokens.log_in(users["ada"], login_lifetime=timedelta(seconds=-1))
    tokens.revoke_token("old", now - timedelta(seconds=1))
    tokens.revoke_token("new", now + timedelta(hours=1))
    out = io.StringIO()
    call_command("purge_tokens", stdout=out)
    assert out.getvalue() == "3 rows deleted\n"
    assert tokens.Login.objects.count() == tokens.RefreshToken.objects.count() == 1
    assert [one.token_id for one in tokens.RevokedToken.objects.all()] == ["new"]
    assert tokens.refresh(kept.refresh_token)


@modify_settings(INSTALLED_APPS={"append": ["django.contrib.admin", "django.contrib.messages"]})
def test_admin_ends_logins(users: dict[str, Any]) -> None:
    from django.contrib.admin import AdminSite

    from quintette.auth.admin import LoginAdmin

    tokens = _tokens()
    pair = tokens.log_in(users["ada"])
    admin: Any = LoginAdmin(tokens.Login, AdminSite())
    admin.revoke(None, tokens.Login.objects.all())
    assert _refused(pair.refresh_token) == "revoked"
    assert tokens.RevokedToken.objects.count() == 1


# --- in cookies -------------------------------------------------------------------------

OURS = {"Sec-Fetch-Site": "same-origin"}


def _cookies_of(answer: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for line in answer.headers.get_list("Set-Cookie"):
        ((name, morsel),) = SimpleCookie(line).items()
        assert morsel["httponly"]
        assert morsel["secure"]
        assert morsel["path"] == "/"
        found[name] = (morsel.value, morsel["samesite"], int(morsel["max-age"]))
    return found


def test_cookies(connect: MakeClient, users: dict[str, Any]) -> None:
    """The client keeps them as a browser does."""
    client = connect(_api(JWT(cookie="__Host-t")))
    body = {"username": "ada", "password": "ada's"}
    answer = client.post("/token", json=body, headers=OURS)
    assert answer.json() == {"token_type": "Bearer", "expires_in": 300}, "scripts see no token"
    assert answer.headers["Cache-Control"] == "no-store"
    first = _cookies_of(answer)
    assert {name: value[1:] for name, value in first.items()} == {
        "__Host-t": ("Lax", 300),
        "__Host-t-refresh": ("Strict", 14 * 86_400),
    }
    assert client.get("/who").json() == str(users["ada"].pk)

    answer = client.post("/token/refresh", json={}, headers=OURS)
    second = _cookies_of(answer)
    assert answer.status_code == 200
    assert second["__Host-t-refresh"] != first["__Host-t-refresh"]
    assert client.get("/who").status_code == 200

    answer = client.post("/token/revoke", json={}, headers=OURS)
    assert answer.status_code == 204
    assert [value[::2] for value in _cookies_of(answer).values()] == [("", 0), ("", 0)]
    assert client.post("/token/refresh", json={}, headers=OURS).status_code == 401
    used = {"refresh_token": second["__Host-t-refresh"][0]}
    assert client.post("/token/refresh", json=used, headers=OURS).status_code == 401


def test_cookies_and_other_sites(connect: MakeClient, users: dict[str, Any]) -> None:
    """Another site makes nobody log in, as the attacker say, nor out."""
    client = connect(_api(JWT(cookie="t")))
    body = {"username": "ada", "password": "ada's"}
    assert client.post("/token", json=body, headers=OURS).status_code == 200
    for headers in (
        {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "null"},
        {},
    ):
        assert client.post("/token", json=body, headers=headers).status_code == 403
        assert client.post("/token/refresh", json={}, headers=headers).status_code == 403
        assert client.post("/token/revoke", json={}, headers=headers).status_code == 403
    assert client.post("/token/refresh", json={}, headers=OURS).status_code == 200


def test_no_refresh_token(connect: MakeClient, users: dict[str, Any]) -> None:
    client = connect(_api())
    for path in ("/token/refresh", "/token/revoke"):
        assert client.post(path, json={}).status_code == 401
