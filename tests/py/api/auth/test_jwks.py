"""Keys from where somebody publishes them: rotation, and what is fetched when."""

from __future__ import annotations

import http.client
import http.server
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from live import MakeClient, wait_for
from token_forge import claims, forge
from token_keys import EC_256, EC_256_JWK, ED_25519, ED_25519_JWK, RSA, RSA_JWK

from quintette import API
from quintette._quintette import JwtKey
from quintette.auth import JWKS, JWT, AnyOf, APIKeyAuth, BasicAuth, Claims, CurrentAuth
from quintette.auth.jwt.fetching import DOCUMENT_BYTES_MAX, fetch


class Publisher:
    """Serves a JWK Set; what it sends and how often it was asked can be seen."""

    def __init__(self) -> None:
        self.keys: list[Any] = []
        self.body: bytes | None = None
        self.status = 200
        self.asked = 0
        self.let_go = threading.Event()
        self.let_go.set()
        publisher = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                publisher.asked += 1
                publisher.let_go.wait(60)
                body = publisher.body
                if body is None:
                    body = json.dumps({"keys": publisher.keys}).encode()
                self.send_response(publisher.status)
                if publisher.status == 302:
                    self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/keys"


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    made = Publisher()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.let_go.set()
    made.server.shutdown()
    thread.join(60)
    made.server.server_close()


def _api(keys: JWKS | JWT) -> API:
    api = API(guards=[keys if isinstance(keys, JWT) else JWT(keys)])

    @api.get("/who")
    async def who(auth: CurrentAuth[Claims]) -> str:
        return str(auth["sub"])

    return api


def _signed(key: str, alg: str, kid: str) -> str:
    return JwtKey("pem", (key.encode(),), alg, kid).sign(json.dumps(claims()).encode())


EC = _signed(EC_256, "ES256", "ec")
ED = _signed(ED_25519, "EdDSA", "ed")
RS = _signed(RSA, "RS256", "rsa")


def _ask(client: Any, token: str) -> int:
    answer = client.get("/who", headers={"Authorization": f"Bearer {token}"})
    return int(answer.status_code)


def test_rotation(connect: MakeClient, publisher: Publisher) -> None:
    publisher.keys = [EC_256_JWK]
    client = connect(_api(JWKS(publisher.url, retry_seconds=0)))
    assert publisher.asked == 0, "not before it is needed"
    assert _ask(client, EC) == 200
    assert publisher.asked == 1
    assert _ask(client, EC) == 200
    assert publisher.asked == 1

    publisher.keys = [EC_256_JWK, ED_25519_JWK]
    assert _ask(client, ED) == 200, "a key that is not known is looked for"
    assert _ask(client, EC) == 200
    assert publisher.asked == 2

    publisher.keys = [ED_25519_JWK]
    assert _ask(client, RS) == 401
    assert publisher.asked == 3
    assert _ask(client, EC) == 401, "its key was taken away, and what it had verified with it"
    assert _ask(client, ED) == 200


def test_keys_are_waited_for_among_other_ways(connect: MakeClient, publisher: Publisher) -> None:
    publisher.keys = [EC_256_JWK]
    jwt = JWT(JWKS(publisher.url))
    api = API(guards=[AnyOf(APIKeyAuth(), jwt, BasicAuth())])

    @api.get("/who")
    async def who(auth: CurrentAuth[Claims]) -> str:
        return str(auth["sub"])

    client = connect(api)
    assert _ask(client, ED) == 401
    assert _ask(client, EC) == 200
    assert publisher.asked == 1
    assert client.get("/who").status_code == 401


def test_keys_that_are_not_known_are_looked_for_in_turn(publisher: Publisher) -> None:
    """Whoever invents names of keys makes nobody fetch more often."""
    from quintette.testing import TestClient

    publisher.keys = [EC_256_JWK]
    client = TestClient(_api(JWKS(publisher.url, retry_seconds=3600)))
    assert _ask(client, EC) == 200
    for number in range(20):
        assert _ask(client, _signed(ED_25519, "EdDSA", f"invented-{number}")) == 401
    assert publisher.asked == 1


def test_one_fetch_for_all(connect: MakeClient, publisher: Publisher) -> None:
    publisher.keys = [EC_256_JWK]
    publisher.let_go.clear()
    client = connect(_api(JWKS(publisher.url, retry_seconds=3600)))
    others = [connect(_api(JWKS({"keys": [EC_256_JWK]})))]
    got: list[int] = []
    thread = threading.Thread(target=lambda: got.append(_ask(client, EC)))
    thread.start()
    wait_for(lambda: publisher.asked == 1)
    assert _ask(others[0], EC) == 200, "others are not held up"
    publisher.let_go.set()
    thread.join(60)
    assert got == [200]
    assert publisher.asked == 1


def test_when_fetching_fails(publisher: Publisher) -> None:
    from quintette.testing import TestClient

    publisher.keys = [EC_256_JWK]
    jwks = JWKS(publisher.url, retry_seconds=0, refresh_seconds=0)
    client = TestClient(_api(jwks))
    assert _ask(client, EC) == 200
    for status, body in ((500, b"{}"), (200, b"no JSON"), (200, b"[]"), (302, b"")):
        publisher.status, publisher.body = status, body
        asked = publisher.asked
        assert _ask(client, EC) == 200, "the former keys do"
        wait_for(lambda asked=asked: publisher.asked > asked and jwks._fetching is None)  # type: ignore[misc]
        assert _ask(client, EC) == 200
        wait_for(lambda: jwks._fetching is None)
    jwks._stale_seconds = -1
    _ask(client, EC)
    wait_for(lambda: jwks._fetching is None and not jwks.keys)
    assert _ask(client, EC) == 401, "but not for ever"


def test_nobody_has_asked_for_long(publisher: Publisher) -> None:
    """The first who does is not verified by keys that are older than was said."""
    from quintette.testing import TestClient

    publisher.keys = [EC_256_JWK]
    jwks = JWKS(publisher.url, stale_seconds=3600)
    jwt = JWT(jwks)
    client = TestClient(_api(jwt))
    assert _ask(client, EC) == 200
    publisher.keys = [ED_25519_JWK]
    for age, status in ((3000, 200), (4000, 401)):
        wait_for(lambda: jwks._fetching is None)
        publisher.status = 500 if status == 200 else 200
        jwks._fetched_at = jwks._tried_at = time.monotonic() - age
        jwt.verifier.fresh_until = 0.0
        assert _ask(client, EC) == status
    assert _ask(client, ED) == 200


def test_nobody_answers(connect: MakeClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    client = connect(_api(JWKS(f"http://127.0.0.1:{port}/", timeout_seconds=2)))
    assert _ask(client, EC) == 401


def test_bounds(publisher: Publisher) -> None:
    publisher.body = b" " * (DOCUMENT_BYTES_MAX + 1)
    with pytest.raises(ValueError, match="more than"):
        fetch(publisher.url, 60)
    publisher.body = b" " * DOCUMENT_BYTES_MAX
    assert len(fetch(publisher.url, 60)) == DOCUMENT_BYTES_MAX
    publisher.let_go.clear()
    with pytest.raises(OSError, match=r"timed out|closed"):
        fetch(publisher.url, 0.05)


@pytest.mark.parametrize("in_body", [False, True])
@pytest.mark.parametrize("connect_seconds", [0, 0.7], ids=["at once", "connected when it is over"])
def test_a_server_that_trickles(
    monkeypatch: pytest.MonkeyPatch, connect_seconds: float, in_body: bool
) -> None:
    """Each byte comes in time; the whole does not."""
    stop = threading.Event()
    create_connection = socket.create_connection

    def create_in_a_while(*args: Any, **kwargs: Any) -> socket.socket:
        time.sleep(connect_seconds)
        return create_connection(*args, **kwargs)

    monkeypatch.setattr(socket, "create_connection", create_in_a_while)

    def trickle(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):  # the client has had enough
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n")
            if in_body:
                connection.sendall(b"\r\n")
            while not stop.wait(0.02):
                connection.sendall(b"x")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=trickle, args=(listener,))
        thread.start()
        began = time.monotonic()
        try:
            with pytest.raises((OSError, ValueError, http.client.HTTPException)):
                fetch(f"http://127.0.0.1:{listener.getsockname()[1]}/", 0.5)
            assert time.monotonic() - began < 60
        finally:
            stop.set()
            thread.join(60)


def test_what_is_a_url() -> None:
    for url in (
        "http://example.com/keys",
        "http://127.0.0.1.example.com/",
        "http://localhost.example.com/",
        "http://127.0.0.1@example.com/",
        "http:///keys",
        "https:///keys",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
    ):
        with pytest.raises(ValueError, match="https"):
            JWKS(url)
    for url in ("https://example.com/keys", "http://[::1]:8000/", "http://localhost/"):
        assert JWKS(url).keys == ()


def test_secrets_are_not_published(publisher: Publisher) -> None:
    """HMAC by what everybody can read would let everybody sign."""
    from quintette.testing import TestClient

    secret = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"
    publisher.keys = [{"kty": "oct", "kid": "k", "alg": "HS256", "k": secret}]
    client = TestClient(_api(JWKS(publisher.url)))
    assert _ask(client, forge({"alg": "HS256", "kid": "k"})) == 401
    local = TestClient(_api(JWKS({"keys": publisher.keys})))
    assert _ask(local, forge({"alg": "HS256", "kid": "k"})) == 200


UNUSABLE: list[dict[str, Any]] = [
    {},
    {"kty": "RSA"},
    {"kty": "unknown"},
    {**EC_256_JWK, "crv": "P-384"},
    {**EC_256_JWK, "y": EC_256_JWK["x"]},
    {**EC_256_JWK, "use": "enc"},
    {**RSA_JWK, "alg": "none"},
    {**RSA_JWK, "alg": "HS256"},
    {**RSA_JWK, "alg": ["RS256"]},
    {**RSA_JWK, "e": "AQ"},
    {**RSA_JWK, "n": "AQAB"},
    {**RSA_JWK, "n": "ö"},
    {**RSA_JWK, "kid": 1},
    {**ED_25519_JWK, "x": "AAAA"},
]


def test_keys_that_cannot_be_used_are_left_out(tmp_path: Path) -> None:
    """RFC 7517, 5."""
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": [*UNUSABLE, "no object", ED_25519_JWK]}), "utf-8")
    for source in (path, str(path)):
        assert [(key.kid, key.alg) for key in JWKS(source).keys] == [("ed", "EdDSA")]


def test_algorithms() -> None:
    both = {"keys": [RSA_JWK, {**RSA_JWK, "kid": "512", "alg": "RS512"}]}
    assert [key.alg for key in JWKS(both).keys] == ["RS256", "RS512"]
    assert [key.alg for key in JWKS(both, algorithms=["PS256"]).keys] == ["PS256"]
    assert [key.alg for key in JWKS(both, algorithms=["RS512"]).keys] == ["RS512", "RS512"]
    with pytest.raises(ValueError, match="unknown algorithm none"):
        JWKS(both, algorithms=["RS256", "none"])
