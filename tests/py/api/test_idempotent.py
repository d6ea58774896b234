"""Idempotency keys (draft-ietf-httpapi-idempotency-key-header), whoever serves them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from typing import Any

import live
import pytest
from django.core.cache import cache
from django.core.management import call_command
from django.db import transaction
from django.http import HttpRequest
from django.test import override_settings
from django.utils import timezone
from live import MakeClient
from whoami import NamesItself

from quintette import (
    API,
    BodyStream,
    HTTPError,
    Idempotent,
    RegistrationError,
    Response,
    Stream,
    in_loop,
)
from quintette.idempotency import stores
from quintette.testing import TestClient

PLACES = ["async", "thread", "loop"]
KEY = {"Idempotency-Key": '"8e03978e-40d5-43dd-bc93-6894a57f9324"'}
MINE = {**KEY, "X-User": "1"}


@pytest.fixture(autouse=True)
def empty() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


class Payments:
    def __init__(self, make: Any = None, **options: Any) -> None:
        self.ran = 0
        self.make = make or (lambda: {"payment": self.ran})
        self.api = API(guards=[NamesItself(), Idempotent(**options)])

        @self.api.post("/async")
        async def a(amount: int = 0) -> Any:
            return self.pay()

        @self.api.post("/thread")
        def t(amount: int = 0) -> Any:
            return self.pay()

        @self.api.post("/loop")
        @in_loop
        def c(amount: int = 0) -> Any:
            return self.pay()

        @self.api.post("/body")
        async def body(order: dict[str, int]) -> Any:
            return self.pay()

        @self.api.put("/items/{id}")
        async def put(id: int) -> Any:
            return self.pay()

        @self.api.get("/async", name="read")
        async def read() -> Any:
            return self.pay()

    def pay(self) -> Any:
        self.ran += 1
        return self.make()


@pytest.mark.parametrize("place", PLACES)
def test_the_first_response_again(connect: MakeClient, place: str) -> None:
    payments = Payments(lambda: Response("paid", status=201, headers={"Location": "/payments/1"}))
    client = connect(payments.api)
    first = client.post(f"/{place}", headers=MINE)
    again = client.post(f"/{place}", headers=MINE)
    assert (first.status_code, first.content) == (201, b"paid")
    assert "idempotency-replayed" not in first.headers
    assert (again.status_code, again.content) == (201, b"paid")
    assert again.headers["location"] == "/payments/1"
    assert again.headers["idempotency-replayed"] == "true"
    assert payments.ran == 1


def test_without_a_key(connect: MakeClient) -> None:
    payments = Payments()
    client = connect(payments.api)
    for n in (1, 2):
        assert client.post("/async", headers={"X-User": "1"}).json() == {"payment": n}
        assert client.get("/async", headers=MINE).status_code == 200
        payments.ran -= 1


# Two requests, whether the second is answered with the response to the first.
OTHERS = [
    ("the same", "/async", MINE, None, True),
    (
        "a bare key",
        "/async",
        {**MINE, "Idempotency-Key": MINE["Idempotency-Key"][1:-1]},
        None,
        True,
    ),
    ("another key", "/async", {**MINE, "Idempotency-Key": "another"}, None, False),
    ("another path", "/thread", MINE, None, False),
    ("replay across users", "/async", {**MINE, "X-User": "2"}, None, False),
    ("as the subject of claims", "/async", {**MINE, "X-User": "claims:1"}, None, False),
]


@pytest.mark.parametrize(
    ("why", "path", "headers", "json", "again"), OTHERS, ids=[row[0] for row in OTHERS]
)
def test_whose_and_for_what(
    connect: MakeClient, why: str, path: str, headers: dict[str, str], json: Any, again: bool
) -> None:
    payments = Payments()
    client = connect(payments.api)
    assert client.post("/async", headers=MINE).json() == {"payment": 1}
    response = client.post(path, headers=headers)
    assert response.json() == {"payment": 1 if again else 2}


@override_settings(ALLOWED_HOSTS=["*"], USE_X_FORWARDED_HOST=True)
def test_hosts_are_apart(connect: MakeClient) -> None:
    """One tenant's user 1 is not another's."""
    payments = Payments()
    client = connect(payments.api)
    asked = [
        client.post("/async", headers={**MINE, "X-Forwarded-Host": f"{tenant}.example"}).json()[
            "payment"
        ]
        for tenant in ("one", "two", "one")
    ]
    assert asked == [1, 2, 1]


def test_paths_are_apart(connect: MakeClient) -> None:
    client = connect(Payments().api)
    numbers = [client.put(f"/items/{n}", headers=MINE).json()["payment"] for n in (1, 2, 1)]
    assert numbers == [1, 2, 1]


# 2.7: "a request with the same key and another payload"
REUSED = [
    ("/body", {"a": 1}, "/body", {"a": 2}),
    ("/async?amount=1", None, "/async?amount=2", None),
]


@pytest.mark.parametrize(("path", "json", "other", "other_json"), REUSED)
def test_a_key_with_another_request(
    connect: MakeClient, path: str, json: Any, other: str, other_json: Any
) -> None:
    payments = Payments()
    client = connect(payments.api)
    assert client.post(path, json=json, headers=MINE).status_code == 200
    response = client.post(other, json=other_json, headers=MINE)
    assert (response.status_code, payments.ran) == (422, 1)
    assert client.post(path, json=json, headers=MINE).json() == {"payment": 1}


def test_a_body_that_only_the_request_has(connect: MakeClient) -> None:
    api = API(guards=[NamesItself(), Idempotent()])

    @api.post("/")
    def post(request: HttpRequest) -> str:
        return request.body.decode()

    client = connect(api)
    assert client.post("/", content=b"a", headers=MINE).json() == "a"
    assert client.post("/", content=b"b", headers=MINE).status_code == 422
    assert client.post("/", content=b"a", headers=MINE).json() == "a"


def test_a_body_that_is_not_there_yet() -> None:
    api = API(guards=[Idempotent()])

    @api.post("/")
    async def post(body: BodyStream) -> str:
        return "x"

    with pytest.raises(RegistrationError, match="while it comes"):
        TestClient(api).post("/")


# --- which responses --------------------------------------------------------------------


def _fail(status: int) -> Any:
    def fail() -> Any:
        raise HTTPError(status)

    return fail


def _crash() -> None:
    raise ZeroDivisionError


# Why, the handler's response, the status of the second time, how often the handler ran.
REPLIES = [
    ("201", lambda: Response("x", status=201), 201, 1),
    ("404", _fail(404), 404, 1),
    ("409 of the handler's", _fail(409), 409, 1),
    ("500", _fail(500), 500, 2),
    ("503", _fail(503), 503, 2),
    ("an exception", _crash, 500, 2),
    ("429", _fail(429), 429, 2),
    ("408", _fail(408), 408, 2),
    ("done, but not kept: a stream", lambda: Stream([b"x"]), 409, 1),
    ("done, but not kept: large", lambda: Response("x" * 2000), 409, 1),
]


@pytest.mark.parametrize(("why", "make", "status", "ran"), REPLIES, ids=[row[0] for row in REPLIES])
def test_what_is_kept(connect: MakeClient, why: str, make: Any, status: int, ran: int) -> None:
    payments = Payments(make, max_bytes=1000)
    client = connect(payments.api)
    first = client.post("/thread", headers=MINE)
    again = client.post("/thread", headers=MINE)
    assert (again.status_code, payments.ran) == (status, ran)
    if status == first.status_code < 500 and ran == 1:
        assert again.content == first.content


# --- who may ----------------------------------------------------------------------------


def test_nobody_has_no_keys(connect: MakeClient) -> None:
    payments = Payments()
    response = connect(payments.api).post("/async", headers=KEY)
    assert (response.status_code, payments.ran) == (400, 0)
    assert "credentials" in response.json()["detail"]


def test_unless_that_is_wanted(connect: MakeClient) -> None:
    payments = Payments(anonymous=True)
    client = connect(payments.api)
    assert client.post("/async", headers=KEY).json() == {"payment": 1}
    assert client.post("/async", headers=KEY).json() == {"payment": 1}
    # Somebody is another one than nobody.
    assert client.post("/async", headers=MINE).json() == {"payment": 2}
    # Credentials that were not verified tell apart all the same.
    for number, token in ((3, "a"), (4, "b"), (3, "a")):
        headers = {**KEY, "Authorization": f"Bearer {token}"}
        assert client.post("/async", headers=headers).json() == {"payment": number}
    # What can be guessed would give a response to others.
    short = client.post("/async", headers={"Idempotency-Key": "x" * 15})
    assert short.status_code == 400


def test_nobodys_session_is_not_given_to_others(connect: MakeClient) -> None:
    def login() -> Response:
        response = Response("x")
        response.set_cookie("session", "secret")
        return response

    payments = Payments(login, anonymous=True)
    client = connect(payments.api)
    assert "set-cookie" in client.post("/async", headers=KEY).headers
    again = client.post("/async", headers=KEY)
    assert (again.status_code, payments.ran) == (409, 1)
    assert "set-cookie" not in again.headers


# --- keys -------------------------------------------------------------------------------

MALFORMED = ["", '""', '"', "a b", 'a"b', "a\\b", '"a"b"', "x" * 256, "é", "a, b"]


@pytest.mark.parametrize("key", MALFORMED)
def test_malformed_keys(key: str) -> None:
    payments = Payments()
    headers = {"X-User": "1", "Idempotency-Key": key}
    response = TestClient(payments.api).post("/async", headers=headers)
    assert (response.status_code, payments.ran) == (400, 0)
    assert "Idempotency-Key" in response.json()["detail"]


def test_two_keys() -> None:
    payments = Payments()
    headers = [("X-User", "1"), ("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    assert TestClient(payments.api).post("/async", headers=headers).status_code == 400


def test_required(connect: MakeClient) -> None:
    payments = Payments(required=True, header="X-Once")
    client = connect(payments.api)
    response = client.post("/async", headers={"X-User": "1"})
    assert (response.status_code, payments.ran) == (400, 0)
    assert "X-Once" in response.json()["detail"]
    for _ in range(2):
        headers = {"X-User": "1", "X-Once": "a"}
        assert client.post("/async", headers=headers).json() == {"payment": 1}
    assert client.get("/async").status_code == 200


# --- at the same time -------------------------------------------------------------------


@pytest.mark.parametrize("backend", live.BACKENDS)
def test_while_the_first_is_being_worked_on(backend: str, servers: live.Servers) -> None:
    """2.7: 409, and the handler runs once."""
    go, begun = threading.Event(), threading.Event()

    def pay() -> str:
        begun.set()
        assert go.wait(live.SECONDS)
        return "paid"

    payments = Payments(pay)
    first, second = (live.Client(payments.api, servers[backend]) for _ in range(2))
    answers: list[Any] = []
    thread = threading.Thread(
        target=lambda: answers.append(first.post("/thread", headers=MINE)), daemon=True
    )
    thread.start()
    assert begun.wait(live.SECONDS)
    busy = second.post("/thread", headers=MINE)
    assert (busy.status_code, busy.headers["retry-after"]) == (409, "1")
    go.set()
    thread.join(live.SECONDS)
    assert answers[0].json() == "paid"
    assert second.post("/thread", headers=MINE).json() == "paid"
    assert payments.ran == 1
    first.close()
    second.close()


def test_a_store_that_fails_afterwards(
    connect: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The payment was made: its client must be told."""

    def broken(*args: Any) -> None:
        raise ConnectionError("the cache is down")

    monkeypatch.setattr(stores.CacheStore, "_finish", broken)
    payments = Payments()
    client = connect(payments.api)
    assert client.post("/thread", headers=MINE).json() == {"payment": 1}
    assert client.post("/thread", headers=MINE).status_code == 409


def test_a_store_that_fails_before(connect: MakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any) -> None:
        raise ConnectionError("the cache is down")

    payments = Payments()
    monkeypatch.setattr(type(cache._connections["default"]), "get", broken)  # type: ignore[attr-defined]
    client = connect(payments.api)
    assert (client.post("/thread", headers=MINE).status_code, payments.ran) == (500, 0)


# --- stores -----------------------------------------------------------------------------

NAME, PRINT = b"n" * 16, b"f" * 16
PARTS = (201, b"Content-Type: text/plain\r\n", b"paid")


@pytest.fixture(params=["cache", "database"])
def store(request: pytest.FixtureRequest) -> Iterator[stores.Store]:
    if request.param == "cache":
        yield stores.CacheStore("default", 60, 60)
        return
    call_command("migrate", "quintette_idempotency", verbosity=0)
    yield stores.DatabaseStore(60, 60)
    call_command("migrate", "quintette_idempotency", "zero", verbosity=0)


def test_a_record(store: stores.Store) -> None:
    what, token = store.begin(NAME, PRINT)
    assert what == stores.BEGUN
    assert store.begin(NAME, PRINT) == (stores.BUSY, None)
    assert store.begin(NAME, b"o" * 16) == (stores.OTHER, None)
    assert store.begin(b"o" * 16, PRINT)[0] == stores.BEGUN
    store.finish(NAME, PRINT, token, PARTS)
    assert store.begin(NAME, PRINT) == (stores.DONE, PARTS)
    assert store.begin(NAME, b"o" * 16) == (stores.OTHER, None)


def test_one_without_a_response(store: stores.Store) -> None:
    store.finish(NAME, PRINT, store.begin(NAME, PRINT)[1], True)
    assert store.begin(NAME, PRINT) == (stores.UNKEPT, None)


def test_one_without_a_body(store: stores.Store) -> None:
    store.finish(NAME, PRINT, store.begin(NAME, PRINT)[1], (204, b"", None))
    assert store.begin(NAME, PRINT) == (stores.DONE, (204, b"", None))


def test_one_that_may_be_tried_again(store: stores.Store) -> None:
    store.finish(NAME, PRINT, store.begin(NAME, PRINT)[1], None)
    what, token = store.begin(NAME, PRINT)
    assert what == stores.BEGUN
    # Another's token: it was given up, and somebody else is at it.
    for kept in (None, PARTS):
        store.finish(NAME, PRINT, "another", kept)
        assert store.begin(NAME, PRINT) == (stores.BUSY, None)
    store.finish(NAME, PRINT, token, PARTS)
    assert store.begin(NAME, PRINT) == (stores.DONE, PARTS)


def test_what_has_expired_is_taken_over_once() -> None:
    from quintette.idempotency.models import Record

    call_command("migrate", "quintette_idempotency", verbosity=0)
    store = stores.DatabaseStore(60, 60)
    try:
        old = store.begin(NAME, PRINT)[1]
        past = timezone.now() - timedelta(seconds=1)
        Record.objects.update(expires=past)
        what, token = store.begin(NAME, PRINT)
        assert (what, token != old) == (stores.BEGUN, True)
        assert store.begin(NAME, PRINT) == (stores.BUSY, None)
        # Whoever was given up has nothing to say any more.
        store.finish(NAME, PRINT, old, PARTS)
        assert store.begin(NAME, PRINT) == (stores.BUSY, None)
        store.finish(NAME, PRINT, token, PARTS)
        store.begin(b"o" * 16, PRINT)
        Record.objects.filter(name=NAME.hex()).update(expires=past)
        out = StringIO()
        call_command("purge_idempotency", stdout=out)
        assert out.getvalue() == "1 records deleted\n"
        assert Record.objects.get().name == (b"o" * 16).hex()
    finally:
        call_command("migrate", "quintette_idempotency", "zero", verbosity=0)


def test_a_request_that_is_rolled_back(caplog: pytest.LogCaptureFixture) -> None:
    """ATOMIC_REQUESTS: what the handler did is undone, so that it may be done again."""
    call_command("migrate", "quintette_idempotency", verbosity=0)
    store = stores.DatabaseStore(60, 60)
    try:
        with transaction.atomic():
            token = store.begin(NAME, PRINT)[1]
            transaction.set_rollback(True)
            store.finish(NAME, PRINT, token, PARTS)
        assert caplog.records == []
        assert store.begin(NAME, PRINT)[0] == stores.BEGUN
    finally:
        call_command("migrate", "quintette_idempotency", "zero", verbosity=0)


def test_there_is_no_migration_to_make() -> None:
    call_command("makemigrations", "quintette_idempotency", check=True, dry_run=True, verbosity=0)


# --- declarations -----------------------------------------------------------------------

REFUSED = [
    {"ttl": 0},
    {"lock_seconds": 0},
    {"max_bytes": -1},
    {"header": "a b"},
    {"store": "nowhere"},
    {"store": "none"},
]


@pytest.mark.parametrize("options", REFUSED)
def test_declarations_that_are_refused(options: dict[str, Any]) -> None:
    dummy = {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}
    local = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
    with (
        override_settings(CACHES={"default": local, "none": dummy}),
        pytest.raises(RegistrationError, match=r"^Idempotent: "),
    ):
        Idempotent(**options)


@override_settings(INSTALLED_APPS=["quintette"])
def test_the_database_needs_its_app() -> None:
    with pytest.raises(RegistrationError, match="INSTALLED_APPS"):
        Idempotent(store="database")
