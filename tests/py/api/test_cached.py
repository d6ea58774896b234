"""Responses that are kept, whoever serves them; attacks by what is not in their key."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Annotated, Any

import live
import pytest
from django.contrib import messages
from django.contrib.auth.models import Group, Permission
from django.contrib.messages import get_messages
from django.core.cache import cache
from django.core.management import call_command
from django.db import transaction
from django.db.models.signals import m2m_changed, post_delete, post_save
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import _does_token_match, get_token  # type: ignore[attr-defined]
from django.test import override_settings
from live import MakeClient
from places import PLACES, everywhere
from whoami import NamesItself

from quintette import (
    API,
    Body,
    Cached,
    Compress,
    Conditional,
    Cookie,
    Header,
    HTTPError,
    Query,
    RegistrationError,
    Response,
    Stream,
    caching,
)
from quintette.api import Hook
from quintette.api.guards import Order
from quintette.auth import CurrentUser
from quintette.testing import TestClient
from quintette.testing.messages import Request


@pytest.fixture(autouse=True)
def empty() -> Iterator[None]:
    for clear in (caching.clear, cache.clear):
        clear()
    yield
    for clear in (caching.clear, cache.clear):
        clear()


class Counter:
    """How often a handler ran."""

    def __init__(self) -> None:
        self.ran = 0

    def __call__(self, *args: Any, **kwargs: Any) -> dict[str, int]:
        self.ran += 1
        return {"n": self.ran}


def _api(make: Any, *guards: Any, **options: Any) -> API:
    return everywhere(API(guards=[Cached(options.pop("seconds", 60), **options), *guards]), make)


STORES = [
    pytest.param({}, id="memory"),
    pytest.param({"store": "default"}, id="alias"),
]


@pytest.mark.parametrize("options", STORES)
@pytest.mark.parametrize("place", PLACES)
def test_the_handler_runs_once(connect: MakeClient, place: str, options: dict[str, Any]) -> None:
    counter = Counter()
    client = connect(_api(counter, **options))
    first = client.get(f"/{place}")
    again = client.get(f"/{place}")
    assert first.json() == again.json() == {"n": 1}
    assert counter.ran == 1
    assert "age" not in first.headers
    assert again.headers["age"] == "0"
    assert again.headers["content-type"] == "application/json"
    assert first.headers["cache-control"] == again.headers["cache-control"] == "private, no-cache"
    head = client.head(f"/{place}")
    assert (head.status_code, head.content, counter.ran) == (200, b"", 1)


def test_stats() -> None:
    client = TestClient(_api(Counter()))
    before = caching.stats()
    for _ in range(3):
        client.get("/async")
    after = caching.stats()
    assert after["misses"] - before["misses"] == 1
    assert after["hits"] - before["hits"] == 2
    assert after["entries"] == 1
    assert after["bytes"] > 0
    caching.clear()
    assert caching.stats()["entries"] == caching.stats()["bytes"] == 0


@pytest.mark.parametrize("options", STORES)
def test_time_passes(monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]) -> None:
    counter = Counter()
    client = TestClient(_api(counter, seconds=0.05, **options))
    assert client.get("/async").json() == {"n": 1}
    time.sleep(0.06)
    assert client.get("/async").json() == {"n": 2}


# --- what is kept -----------------------------------------------------------------------


def _with(status: int = 200, **headers: str) -> Any:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda: Response("x", status=status, headers=fields)


def _fail(status: int) -> Any:
    def fail() -> Any:
        raise HTTPError(status)

    return fail


def _cookie() -> Response:
    response = Response("x")
    response.set_cookie("session", "secret")
    return response


# Why, the handler's response, whether it is kept.
REPLIES = [
    ("200", _with(), True),
    ("301", _with(301, Location="/"), True),
    ("404", _fail(404), True),
    ("410", _with(410), True),
    ("Django's", lambda: HttpResponse("x"), True),
    ("201", _with(201), False),
    ("302", _with(302, Location="/"), False),
    ("403", _fail(403), False),
    ("500", _fail(500), False),
    ("a cookie", _cookie, False),
    ("Django's, with a cookie", lambda: HttpResponse("x", headers={"Set-Cookie": "a=b"}), False),
    ("RFC 9111, 5.2.2.5: no-store", _with(Cache_Control="max-age=5, No-Store"), False),
    ("5.2.2.7: private", _with(Cache_Control="private"), False),
    ("5.2.2.4: no-cache with names", _with(Cache_Control='no-cache="x-y"'), False),
    ("4.1: varies by what is not in the key", _with(Vary="Accept-Language"), False),
    ("4.1: *", _with(Vary="*"), False),
    ("a stream", lambda: Stream([b"x"]), False),
    ("max-age of the handler's", _with(Cache_Control="max-age=5"), True),
]


@pytest.mark.parametrize(("why", "make", "kept"), REPLIES, ids=[row[0] for row in REPLIES])
def test_what_is_kept(connect: MakeClient, why: str, make: Any, kept: bool) -> None:
    ran = []

    def counted() -> Any:
        ran.append(1)
        return make()

    client = connect(_api(counted))
    first = client.get("/async")
    again = client.get("/async")
    assert len(ran) == (1 if kept else 2)
    assert ("age" in again.headers) == kept
    assert again.status_code == first.status_code
    if kept:
        assert again.content == first.content


def test_the_handlers_cache_control_stands() -> None:
    client = TestClient(_api(_with(Cache_Control="max-age=5")))
    assert client.get("/async").headers["cache-control"] == "max-age=5"


# --- keys -------------------------------------------------------------------------------


def _echo() -> tuple[API, list[str]]:
    """A handler whose response depends on all that it declares."""
    api, ran = API(guards=[Cached(60, vary=["Accept-Language"])]), []

    @api.get("/{name}/x")
    async def x(
        name: str,
        q: str = "",
        many: Annotated[list[str] | None, Query()] = None,
        x_mode: Annotated[str, Header()] = "",
        theme: Annotated[str, Cookie()] = "",
    ) -> list[Any]:
        ran.append(name)
        return [name, q, many, x_mode, theme]

    return api, ran


# Two requests, whether they are alike.
ALIKE = [
    ("/a/x", {}, "/a/x", {}, True),
    ("/a/x", {}, "/b/x", {}, False),
    ("/a%20b/x", {}, "/a%20c/x", {}, False),
    ("/%61/x", {}, "/a/x", {}, True),
    ("/a/x?q=1", {}, "/a/x?q=2", {}, False),
    ("/a/x?q=1&many=2", {}, "/a/x?many=2&q=1", {}, True),
    ("/a/x?q=%31", {}, "/a/x?q=1", {}, True),
    ("/a/x?q=a+b", {}, "/a/x?q=a%20b", {}, True),
    ("/a/x?many=1&many=2", {}, "/a/x?many=2&many=1", {}, False),
    ("/a/x?q=", {}, "/a/x", {}, False),
    ("/a/x?q=1", {}, "/a/x?many=1", {}, False),
    ("/a/x?q=1%26many=2", {}, "/a/x?q=1&many=2", {}, False),
    ("/a/x", {"X-Mode": "1"}, "/a/x", {"X-Mode": "2"}, False),
    ("/a/x", {"X-Mode": "1"}, "/a/x", {}, False),
    ("/a/x", {"Cookie": "theme=1"}, "/a/x", {"Cookie": "theme=2"}, False),
    ("/a/x", {"Accept-Language": "nl"}, "/a/x", {"Accept-Language": "fr"}, False),
    # What the handler cannot see makes no difference: neither a miss nor poison.
    ("/a/x?utm_source=1", {}, "/a/x?utm_source=2", {}, True),
    ("/a/x", {"Cookie": "other=1; theme=1"}, "/a/x", {"Cookie": "theme=1; other=2"}, True),
    ("/a/x", {"X-Forwarded-Host": "evil.example"}, "/a/x", {}, True),
    ("/a/x", {"X-Original-URL": "/admin"}, "/a/x", {}, True),
    ("/a/x", {"X-HTTP-Method-Override": "DELETE"}, "/a/x", {}, True),
    ("/a/x", {"X-Mode": "1", "User-Agent": "a"}, "/a/x", {"X-Mode": "1", "User-Agent": "b"}, True),
]


@pytest.mark.parametrize(("path", "headers", "other", "other_headers", "alike"), ALIKE)
def test_keys(
    connect: MakeClient,
    path: str,
    headers: dict[str, str],
    other: str,
    other_headers: dict[str, str],
    alike: bool,
) -> None:
    api, ran = _echo()
    client = connect(api)
    alone, _ = _echo()
    first = client.get(path, headers=headers)
    second = client.get(other, headers=other_headers)
    assert len(ran) == (1 if alike else 2)
    caching.clear()
    assert second.content == connect(alone).get(other, headers=other_headers).content
    assert "Accept-Language" in first.headers["vary"] or "accept-language" in first.headers["vary"]


def test_the_host_is_in_the_key(
    connect: MakeClient, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    counter = Counter()
    client = connect(_api(counter))
    assert client.get("/async").json() == {"n": 1}
    make = Request.wire

    def wire(self: Request, **options: Any) -> bytes:
        return make(self, **options).replace(b"Host: testserver", b"Host: localhost")

    if backend in live.KINDS or backend.startswith("native"):
        monkeypatch.setattr(Request, "wire", wire)
        assert [client.get("/async").json()["n"] for _ in range(2)] == [2, 2]


def test_the_host_that_a_proxy_tells(connect: MakeClient, settings_of_proxy: None) -> None:
    """USE_X_FORWARDED_HOST: a tenant may be chosen by it, unseen by the handler."""
    counter = Counter()
    client = connect(_api(counter))
    hosts = ["a.example", "b.example", "a.example"]
    seen = [client.get("/async", headers={"X-Forwarded-Host": host}).json()["n"] for host in hosts]
    assert seen == [1, 2, 1]


@pytest.fixture
def settings_of_proxy() -> Iterator[None]:
    with override_settings(USE_X_FORWARDED_HOST=True):
        yield


@override_settings(SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https"))
def test_the_scheme_that_a_handler_sees() -> None:
    api = API()

    @api.get("/", guards=[Cached(60, vary=())])
    def link(request: HttpRequest) -> str:
        return request.build_absolute_uri("/x")

    client = TestClient(api)
    plain = client.get("/").json()
    secure = client.get("/", headers={"X-Forwarded-Proto": "https"}).json()
    assert (plain, secure) == ("http://testserver/x", "https://testserver/x")
    assert client.get("/").json() == plain


def test_routes_share_nothing(connect: MakeClient) -> None:
    """Cache deception: a path that looks like a file's is another route or none."""
    api = API(guards=[Cached(60, by_user=True)])

    @api.get("/me")
    async def me() -> str:
        return "me"

    @api.get("/me/{name}")
    async def file(name: str) -> str:
        return f"file {name}"

    client = connect(api)
    assert client.get("/me").json() == "me"
    assert client.get("/me/x.css").json() == "file x.css"
    assert client.get("/me/").status_code == 404
    assert client.get("/me;x.css").status_code == 404
    assert client.get("/me%2Fx.css").content != b'"me"'


def test_a_query_that_is_too_long_is_not_kept() -> None:
    counter = Counter()
    client = TestClient(_api(counter))
    path = "/async?" + "&".join(f"a{n}=1" for n in range(300))
    assert [client.get(path).json()["n"] for _ in range(2)] == [1, 2]


# --- whose ------------------------------------------------------------------------------


def test_credentials_are_never_answered_from_the_cache(connect: MakeClient) -> None:
    counter = Counter()
    client = connect(_api(counter))
    assert client.get("/async").json() == {"n": 1}
    mine = client.get("/async", headers={"Authorization": "Bearer a"})
    assert mine.json() == {"n": 2}
    assert "private" in mine.headers["cache-control"]
    assert client.get("/async").json() == {"n": 1}
    assert client.get("/async", headers={"Authorization": "Bearer b"}).json() == {"n": 3}


def test_unless_it_is_public(connect: MakeClient) -> None:
    counter = Counter()
    client = connect(_api(counter, public=True))
    for headers in ({}, {"Authorization": "Bearer a"}, {}):
        assert client.get("/async", headers=headers).json() == {"n": 1}


@pytest.mark.parametrize("options", STORES)
def test_each_user_has_his_own(connect: MakeClient, options: dict[str, Any]) -> None:
    counter = Counter()
    client = connect(_api(counter, NamesItself(), by_user=True, **options))
    users = [None, "1", "2", "claims:1", "claims:2", "user:1"]
    headers = [{} if user is None else {"X-User": user} for user in users]
    first = [client.get("/async", headers=fields).json()["n"] for fields in headers]
    again = [client.get("/async", headers=fields).json()["n"] for fields in headers]
    # "user:1" is the subject 1, as "claims:1" is.
    assert first == again == [1, 2, 3, 4, 5, 4]


def test_a_user_is_not_answered_with_what_is_everybodys(connect: MakeClient) -> None:
    counter = Counter()
    client = connect(_api(counter, NamesItself()))
    assert client.get("/async").json() == {"n": 1}
    mine = client.get("/async", headers={"X-User": "1"})
    assert (mine.json(), mine.headers["cache-control"]) == ({"n": 2}, "private, no-cache")
    assert client.get("/async").json() == {"n": 1}


def test_credentials_that_nobody_looks_at(connect: MakeClient) -> None:
    counter = Counter()
    client = connect(_api(counter, by_user=True))
    headers = {"Authorization": "Bearer a"}
    assert [client.get("/async", headers=headers).json()["n"] for _ in range(2)] == [1, 2]


def test_a_handler_that_takes_the_user() -> None:
    api = API()

    @api.get("/", guards=[NamesItself(), Cached(1, public=True)])
    async def me(user: CurrentUser[Any] = None) -> str:
        return "x"

    with pytest.raises(RegistrationError, match="by_user"):
        TestClient(api).get("/")


# --- tags -------------------------------------------------------------------------------


@pytest.mark.parametrize("options", STORES)
def test_invalidation(connect: MakeClient, options: dict[str, Any]) -> None:
    counter = Counter()
    client = connect(_api(counter, tags=["cities", "all"], **options))
    assert client.get("/async").json() == client.get("/async").json() == {"n": 1}
    caching.invalidate("countries")
    assert client.get("/async").json() == {"n": 1}
    caching.invalidate("cities")
    assert client.get("/async").json() == client.get("/async").json() == {"n": 2}
    asyncio.run(caching.ainvalidate("x", "all"))
    assert client.get("/async").json() == {"n": 3}


@pytest.mark.parametrize("options", STORES)
def test_tags_of_the_path(connect: MakeClient, options: dict[str, Any]) -> None:
    counter = Counter()
    tags = lambda request, **path: [f"city:{path['id']}"]  # noqa: E731
    api = API(guards=[Cached(60, tags=tags, **options)])

    @api.get("/cities/{id}")
    async def city(id: int) -> Any:
        return counter()

    client = connect(api)
    assert [client.get(f"/cities/{pk}").json()["n"] for pk in (1, 2, 1, 2)] == [1, 2, 1, 2]
    caching.invalidate("city:1")
    assert [client.get(f"/cities/{pk}").json()["n"] for pk in (1, 2, 1, 2)] == [3, 2, 3, 2]


@pytest.mark.parametrize("options", STORES)
def test_what_is_invalidated_while_it_is_computed(
    connect: MakeClient, options: dict[str, Any]
) -> None:
    """It has read what is out of date now, so it is given to whoever asked, and not kept."""
    ran = []

    def make() -> int:
        ran.append(1)
        if len(ran) == 1:
            caching.invalidate("cities")
        return len(ran)

    client = connect(_api(make, tags=["cities"], **options))
    assert client.get("/thread").json() == 1
    assert client.get("/thread").json() == client.get("/thread").json() == 2


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_processes_that_were_forked() -> None:
    """As the workers of `serve` are: what one invalidates is out of date for all."""
    counter = Counter()
    client = TestClient(_api(counter, tags=["cities"]))
    assert [client.get("/async").json()["n"] for _ in range(2)] == [1, 1]
    child = os.fork()
    if child == 0:
        caching.store().invalidate("cities")
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert client.get("/async").json() == {"n": 2}


class TestModels:
    """Groups, whose permissions are a many-to-many relation."""

    @pytest.fixture(autouse=True)
    def tables(self) -> Iterator[None]:
        call_command("migrate", verbosity=0)
        signals = (post_save, post_delete, m2m_changed)
        before = [list(signal.receivers) for signal in signals]
        caching.invalidate_on(Group, "groups", lambda group: [f"group:{group.pk}"])
        yield
        for signal, receivers in zip(signals, before, strict=True):
            signal.receivers = receivers
            signal.sender_receivers_cache.clear()
        Group.objects.all().delete()

    @pytest.fixture
    def told(self, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
        told: list[tuple[str, ...]] = []
        monkeypatch.setattr(caching, "invalidate", lambda *tags: told.append(tags))
        return told

    def test_changes(self, told: list[tuple[str, ...]]) -> None:
        group = Group.objects.create(name="a")
        tags = ("groups", f"group:{group.pk}")
        assert told == [tags]
        group.permissions.add(Permission.objects.all()[0])
        group.delete()
        assert told[1:] == [tags] * (len(told) - 1)
        assert len(told) >= 3

    def test_once_it_is_committed(self, told: list[tuple[str, ...]]) -> None:
        with transaction.atomic():
            Group.objects.create(name="a")
            assert told == []
        assert len(told) == 1
        with suppress(ZeroDivisionError), transaction.atomic():
            Group.objects.create(name="b")
            raise ZeroDivisionError
        assert len(told) == 1


WRONG_TAGS = [["a b"], ["a,b"], [""], ["x" * 129], ["é"], [5], "cities"]


@pytest.mark.parametrize("tags", WRONG_TAGS)
def test_tags_that_are_none(tags: Any) -> None:
    with pytest.raises(RegistrationError, match=r"^Cached: "):
        Cached(1, tags=tags)
    client = TestClient(_api(Counter(), tags=lambda request: tags))
    with pytest.raises((TypeError, ValueError), match="tag"):
        client.get("/async")


# --- one at a time ----------------------------------------------------------------------


class Slow:
    """A handler that waits until it is let go."""

    def __init__(self) -> None:
        self.ran = 0
        self.go = threading.Event()

    def __call__(self) -> Any:
        self.ran += 1
        assert self.go.wait(live.SECONDS)
        return {"n": self.ran}


@pytest.mark.parametrize("backend", live.BACKENDS)
@pytest.mark.parametrize("options", STORES)
def test_one_computes_while_others_wait(
    backend: str, servers: live.Servers, options: dict[str, Any]
) -> None:
    slow, started = Slow(), []
    api = API(guards=[Cached(60, **options), _begun(started)])

    @api.get("/slow")
    def handler() -> Any:
        return slow()

    server = servers[backend]
    clients = [live.Client(api, server) for _ in range(4)]
    answers: list[Any] = []
    threads = [
        threading.Thread(target=lambda c=client: answers.append(c.get("/slow")), daemon=True)
        for client in clients
    ]
    for thread in threads:
        thread.start()
    live.wait_for(lambda: len(started) == 4 and slow.ran >= 1)
    slow.go.set()
    for thread in threads:
        thread.join(live.SECONDS)
    assert [answer.json() for answer in answers] == [{"n": 1}] * 4
    assert slow.ran == 1
    for client in clients:
        client.close()


def _begun(started: list[int]) -> Hook:
    hook = type("Begun", (Hook,), {"order": Order.OBSERVE})
    made = hook(before=lambda request: started.append(1))
    assert isinstance(made, Hook)
    return made


def test_stale_while_another_computes(servers: live.Servers) -> None:
    """RFC 5861: one makes the next response, the others have the last one meanwhile."""
    slow = Slow()
    api = API(guards=[Cached(0.01, stale_while_revalidate=60)])

    @api.get("/slow")
    def handler() -> Any:
        return slow()

    first, second = (live.Client(api, servers["serve"]) for _ in range(2))
    slow.go.set()
    assert first.get("/slow").json() == {"n": 1}
    time.sleep(0.02)
    slow.go.clear()
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(first.get("/slow")), daemon=True)
    thread.start()
    live.wait_for(lambda: slow.ran == 2)
    assert second.get("/slow").json() == {"n": 1}
    slow.go.set()
    thread.join(live.SECONDS)
    assert answers[0].json() == {"n": 2}
    first.close()
    second.close()


def test_who_waits_for_a_failure_goes_on(servers: live.Servers) -> None:
    slow = Slow()
    api, started = API(guards=[Cached(60), _begun(begun := [])]), begun

    @api.get("/slow")
    def handler() -> Any:
        slow()
        raise HTTPError(503)

    clients = [live.Client(api, servers["serve"]) for _ in range(3)]
    answers: list[Any] = []
    threads = [
        threading.Thread(target=lambda c=client: answers.append(c.get("/slow")), daemon=True)
        for client in clients
    ]
    for thread in threads:
        thread.start()
    live.wait_for(lambda: len(started) == 3 and slow.ran >= 1)
    slow.go.set()
    for thread in threads:
        thread.join(live.SECONDS)
    assert [answer.status_code for answer in answers] == [503] * 3
    for client in clients:
        client.close()


# --- fields for others ------------------------------------------------------------------

FIELDS = [
    ({}, {"cache-control": "private, no-cache"}),
    ({"browser": 5}, {"cache-control": "private, max-age=5"}),
    ({"public": True, "browser": 5}, {"cache-control": "public, max-age=5"}),
    (
        {"public": True, "cdn": 60, "stale_while_revalidate": 10},
        {"cdn-cache-control": "public, max-age=60, stale-while-revalidate=10"},
    ),
    ({"public": True, "tags": ["a", "b"], "tag_field": "Cache-Tag"}, {"cache-tag": "a,b"}),
    ({"public": True, "tags": ["a", "b"], "tag_field": "Surrogate-Key"}, {"surrogate-key": "a b"}),
]


@pytest.mark.parametrize(("options", "wanted"), FIELDS)
def test_fields(connect: MakeClient, options: dict[str, Any], wanted: dict[str, str]) -> None:
    client = connect(_api(Counter(), **options))
    for _ in range(2):
        response = client.get("/async")
        for name, value in wanted.items():
            assert response.headers[name] == value


def test_with_tags_and_compression(connect: MakeClient) -> None:
    """What is kept is neither compressed nor tagged: outer guards do it for each client."""
    counter = Counter()
    api = _api(lambda: {"text": "x" * 2000, **counter()}, Conditional(), Compress())
    client = connect(api)
    gzip = client.get("/async", headers={"Accept-Encoding": "gzip"})
    plain = client.get("/async")
    assert (gzip.headers["content-encoding"], counter.ran) == ("gzip", 1)
    assert "content-encoding" not in plain.headers
    assert plain.json()["n"] == 1
    assert plain.headers["age"] == "0"
    tag = plain.headers["etag"]
    again = client.get("/async", headers={"If-None-Match": tag})
    assert (again.status_code, counter.ran) == (304, 1)


def test_other_methods_are_not_touched(connect: MakeClient) -> None:
    counter = Counter()
    api = API(guards=[Cached(60)])

    @api.route("/x", methods=["GET", "POST"])
    async def x() -> Any:
        return counter()

    client = connect(api)
    assert [client.post("/x").json()["n"] for _ in range(2)] == [1, 2]
    assert [client.get("/x").json()["n"] for _ in range(2)] == [3, 3]
    assert client.post("/x").json()["n"] == 4


# --- declarations -----------------------------------------------------------------------

REFUSED = [
    {"seconds": 0},
    {"seconds": -1},
    {"seconds": 10**9},
    {"stale_while_revalidate": -1},
    {"by_user": True, "public": True},
    {"cdn": 5},
    {"tag_field": "Cache-Tag"},
    {"public": True, "tag_field": "X-Tags"},
    {"browser": -1},
    {"store": "nowhere"},
    {"store": "default", "stale_while_revalidate": 5},
    {"vary": "Accept"},
    {"vary": ["a b"]},
    {"vary": ["*"]},
]


@pytest.mark.parametrize("options", REFUSED)
def test_declarations_that_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(RegistrationError, match=r"^Cached: "):
        Cached(**{"seconds": 1, **options})


def _takes_request(request: HttpRequest) -> str:
    return "x"


def test_handlers_that_take_the_request() -> None:
    api = API()
    api.get("/", guards=[Cached(1)])(_takes_request)
    with pytest.raises(RegistrationError, match="vary"):
        TestClient(api).get("/")
    open_api = API()
    open_api.get("/", guards=[Cached(1, vary=["X-A"])])(_takes_request)
    client = TestClient(open_api)
    ages = [
        client.get(path).headers.get("age") for path in ("/?a=1", "/?a=1", "/?b=1", "/?b=1&a=1")
    ]
    # All of the query is an input then.
    assert ages == [None, "0", None, None]
    assert client.get("/?a=1&b=1").headers.get("age") == "0"


def test_a_head_of_its_own(connect: MakeClient) -> None:
    """A handler that sees the method may leave the body away, which is nobody's GET."""
    api = API()

    @api.get("/", guards=[Cached(60, vary=())])
    async def read(request: HttpRequest) -> Any:
        return Response(b"", headers={"X-Length": "4"}) if request.method == "HEAD" else "full"

    client = connect(api)
    assert client.head("/").headers["x-length"] == "4"
    assert client.get("/").json() == "full"
    assert client.get("/").headers["age"] == "0"


def test_a_get_with_content(connect: MakeClient) -> None:
    """Which is not in the key."""
    api = API()

    @api.get("/declared", guards=[Cached(60)])
    async def declared(body: Annotated[dict[str, int], Body()]) -> int:
        return body["n"]

    @api.get("/request", guards=[Cached(60, vary=())])
    async def of_request(request: HttpRequest) -> str:
        return request.body.decode()

    @api.get("/blind", guards=[Cached(60)])
    async def blind() -> str:
        return "x"

    client = connect(api)
    for path in ("/declared", "/request"):
        first = client.get(path, json={"n": 1})
        assert first.status_code == 200
        assert client.get(path, json={"n": 2}).content != first.content
    assert client.get("/request").json() == ""
    assert client.get("/request").headers["age"] == "0"
    # Who cannot see it gives the same answer all the same.
    assert [client.get("/blind", json=n).headers.get("age") for n in (1, 2)] == [None, "0"]


CSRF = "django.middleware.csrf.CsrfViewMiddleware"
MESSAGES = "django.contrib.messages.middleware.MessageMiddleware"


@override_settings(MIDDLEWARE=[CSRF])
@pytest.mark.parametrize("options", [{}, {"by_user": True}, {"public": True}], ids=repr)
def test_a_token_against_csrf_is_one_browsers(connect: MakeClient, options: dict[str, Any]) -> None:
    """The secret of the browser's cookie can be read out of it."""
    api = API(guards=[NamesItself(), Cached(60, vary=(), **options)])

    @api.get("/")
    async def form(request: HttpRequest) -> str:
        return get_token(request)

    client = connect(api)
    answers = []
    for secret in ("a", "b"):
        client.cookies = {}
        answers.append(client.get("/", headers={"Cookie": f"csrftoken={secret * 32}"}))
    assert [answer.status_code for answer in answers] == [200, 200]
    masked = [answer.json() for answer in answers]
    assert [_does_token_match(masked[i], s * 32) for i, s in enumerate("ab")] == [True, True]
    assert answers[0].headers["cache-control"] == "private, no-cache"


@override_settings(
    MIDDLEWARE=[MESSAGES],
    MESSAGE_STORAGE="django.contrib.messages.storage.cookie.CookieStorage",
)
def test_messages_are_one_browsers(connect: MakeClient) -> None:
    api = API()

    @api.get("/read", guards=[Cached(60, vary=())])
    async def read(request: HttpRequest) -> list[str]:
        return [str(message) for message in get_messages(request)]

    @api.post("/tell")
    async def tell(request: HttpRequest) -> None:
        messages.info(request, "for you alone")

    client = connect(api)
    cookie = client.post("/tell").headers["set-cookie"].partition(";")[0]
    client.cookies = {}
    assert client.get("/read", headers={"Cookie": cookie}).json() == ["for you alone"]
    client.cookies = {}
    assert client.get("/read").json() == []


def test_only_responses_to_get() -> None:
    api = API()

    @api.post("/", guards=[Cached(1)])
    async def post() -> str:
        return "x"

    with pytest.raises(RegistrationError, match="GET and HEAD"):
        TestClient(api).post("/")
