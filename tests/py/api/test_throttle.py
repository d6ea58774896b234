"""Throttles, whoever serves the API."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from django.http import HttpRequest
from live import MakeClient
from quota_fields import Countdown

from quintette import API, HTTPError, RegistrationError, Router, _quintette
from quintette.auth.schemes import FIELD, Scheme, unauthorized
from quintette.auth.users import LazyUser
from quintette.traffic import Local, Throttle, Unthrottled


def _api(*throttles: Any) -> API:
    api = API()

    @api.get("/limited", guards=throttles)
    async def limited(fail: bool = False) -> str:
        if fail:
            raise HTTPError(409, "no")
        return "in"

    @api.get("/thread", guards=throttles)
    def thread() -> str:
        return "in"

    @api.get("/free")
    async def free() -> str:
        return "in"

    return api


def test_what_is_left_and_what_is_refused(connect: MakeClient) -> None:
    client = connect(_api(Throttle("2/h", name="x")))
    countdown = Countdown()
    seen = [client.get("/limited") for _ in range(4)]
    assert [r.status_code for r in seen] == [200, 200, 429, 429]
    assert countdown.shows(
        [r.headers["ratelimit"] for r in seen],
        ['"x";r=1;t=1800', '"x";r=0;t=3600', '"x";r=0;t=3600', '"x";r=0;t=3600'],
    )
    assert {r.headers["ratelimit-policy"] for r in seen} == {'"x";q=2;w=3600'}
    refused = seen[2]
    assert countdown.shows([refused.headers["retry-after"]], ["1800"])
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.headers["cache-control"] == "no-store"
    assert refused.json() == {
        "type": "https://iana.org/assignments/http-problem-types#quota-exceeded",
        "title": "Too Many Requests",
        "status": 429,
        "violated-policies": ["x"],
    }
    assert "retry-after" not in seen[0].headers
    assert client.get("/free").status_code == 200


def test_one_object_is_one_budget(connect: MakeClient) -> None:
    client = connect(_api(Throttle("2/h")))
    found = [client.get(path).status_code for path in ("/limited", "/thread", "/limited")]
    assert found == [200, 200, 429]


def test_errors_count_and_tell_what_is_left(connect: MakeClient) -> None:
    client = connect(_api(Throttle("2/h")))
    countdown = Countdown()
    both = [client.get(f"/limited?fail={value}") for value in ("1", "maybe")]
    assert [r.status_code for r in both] == [409, 422]
    left = ['"default";r=1;t=1800', '"default";r=0;t=3600']
    assert countdown.shows([r.headers["ratelimit"] for r in both], left)
    assert client.get("/limited").status_code == 429


def test_several(connect: MakeClient) -> None:
    client = connect(_api(Throttle("1/h", name="short"), Throttle("9/d", name="long")))
    both = client.get("/limited")
    # Fields of the same name are one list under Django.
    fields = ",".join(v.replace(", ", ",") for n, v in both.headers.items() if n == "ratelimit")
    assert sorted(fields.split(",")) == ['"long";r=8;t=9600', '"short";r=0;t=3600']
    refused = client.get("/limited")
    assert refused.status_code == 429
    assert refused.json()["violated-policies"] == ["short"]


def test_levels(connect: MakeClient) -> None:
    """A name is one limit: an inner throttle takes the place of an outer one, or adds to others."""
    api, router = API(guards=[Throttle("1/h")]), Router(guards=[Throttle("2/h")])

    @api.get("/outer")
    async def outer() -> str:
        return "in"

    @router.get("/inner")
    async def inner() -> str:
        return "in"

    @router.get("/both", guards=[Throttle("3/h", name="other")])
    async def both() -> str:
        return "in"

    @router.get("/free", guards=[Unthrottled()])
    async def free() -> str:
        return "in"

    @router.get("/other", guards=[Unthrottled("other")])
    async def other() -> str:
        return "in"

    api.include(router)
    client = connect(api)

    def let_in(path: str) -> int:
        return [client.get(path).status_code for _ in range(5)].count(200)

    assert [let_in(path) for path in ("/outer", "/inner", "/free")] == [1, 2, 5]
    # /inner has used up what the router has.
    assert [let_in(path) for path in ("/both", "/other")] == [0, 0]


def test_a_burst_of_its_own(connect: MakeClient) -> None:
    client = connect(_api(Throttle("60/h", burst=2)))
    countdown = Countdown()
    seen = [client.get("/limited") for _ in range(3)]
    assert [r.status_code for r in seen] == [200, 200, 429]
    assert seen[0].headers["ratelimit-policy"] == '"default";q=60;w=3600'
    assert countdown.shows([seen[2].headers["retry-after"]], ["60"])


def test_what_was_used_comes_back(connect: MakeClient) -> None:
    """Waits for the very time that it was told."""
    client = connect(_api(Throttle("1/s")))
    for _ in range(100):  # on a busy machine a second may pass between two requests
        second = client.get("/limited")
        if second.status_code == 429:
            break
    assert second.status_code == 429
    assert second.headers["retry-after"] == "1"
    for _ in range(200):
        again = client.get("/limited")
        if again.status_code == 200:
            break
        asyncio.run(asyncio.sleep(0.01))
    assert again.status_code == 200


@pytest.mark.parametrize("is_async", [False, True])
def test_a_function_says_whose_it_is(connect: MakeClient, is_async: bool) -> None:
    def key_of(request: HttpRequest) -> str | None:
        return request.headers.get("X-Key")

    async def later(request: HttpRequest) -> str | None:
        await asyncio.sleep(0)
        return key_of(request)

    client = connect(_api(Throttle("1/h", by=later if is_async else key_of)))

    def ask(**headers: str) -> int:
        return int(client.get("/limited", headers=headers).status_code)

    assert [ask(**{"X-Key": key}) for key in ("a", "b", "a", "c" * 500, "c" * 501)] == [
        200,
        200,
        429,
        200,
        200,
    ]
    assert [ask() for _ in range(3)] == [200, 200, 200]


class Keyed(Scheme):
    """X-Key: of the form user/credential. Users are loaded when somebody looks."""

    optional = True

    def challenges(self) -> tuple[str, ...]:
        return ("Keyed",)

    def build(self, route: Any, *, required: bool, in_any: bool = False) -> Any:
        return _quintette.CredentialGuard(
            kind=FIELD,
            name=b"x-key",
            authenticate=self.authenticate,
            unauthorized=unauthorized(self.challenges()),
            required=required,
        )

    def authenticate(self, text: bytes) -> tuple[Any, Any]:
        name, _, credential = text.decode().partition("/")
        user = SimpleNamespace(pk=name, is_authenticated=True)

        async def aload() -> Any:
            await asyncio.sleep(0)
            return user

        auth = {"claims": {"iss": "here", "sub": credential}, "none": None}.get(
            credential[:6], SimpleNamespace(pk=credential)
        )
        return auth, LazyUser(lambda: user, aload)


def _ask(client: Any, *keys: str) -> list[int]:
    headers = [{"X-Key": key} if key else {} for key in keys]
    return [int(client.get("/limited", headers=fields).status_code) for fields in headers]


def test_by_user(connect: MakeClient) -> None:
    """Whatever the credentials; those who are nobody by their address."""
    client = connect(_api(Throttle("1/h", by="user"), Keyed()))
    asked = _ask(client, "ann/1", "bob/1", "ann/2", "", "", "cid/none", "cid/none")
    assert asked == [200, 200, 429, 200, 429, 200, 429]


def test_by_credentials(connect: MakeClient) -> None:
    client = connect(_api(Throttle("1/h", by="auth"), Keyed()))
    asked = _ask(client, "ann/1", "ann/2", "bob/2", "ann/claims", "bob/claims", "", "")
    assert asked == [200, 200, 429, 200, 429, 200, 429]
    # A session, say, is only its user.
    assert _ask(client, "ann/none", "bob/none", "ann/none") == [200, 200, 429]


@pytest.mark.parametrize("by", ["user", "auth"])
def test_nobody_says_who_asks(connect: MakeClient, by: Any) -> None:
    """A mistake of the project's, which must not end in no throttle at all."""
    assert connect(_api(Throttle("1/h", by=by))).get("/limited").status_code == 500


@pytest.mark.parametrize("made", [1.5, object()])
def test_what_is_no_key(connect: MakeClient, made: Any) -> None:
    client = connect(_api(Throttle("1/h", by=lambda request: made)))
    assert client.get("/limited").status_code == 500


def test_keys_of_different_types_are_different(connect: MakeClient) -> None:
    keys = iter([b"1", "1", 1, b"1"])
    client = connect(_api(Throttle("1/h", by=lambda request: next(keys))))
    assert [client.get("/limited").status_code for _ in range(4)] == [200, 200, 200, 429]


@pytest.mark.parametrize(
    ("rate", "options", "said"),
    [
        ("fast", {}, "is no rate"),
        ("100", {}, "is no rate"),
        ("100/fortnight", {}, "is no rate"),
        ("-1/s", {}, "is no rate"),
        ("٣/s", {}, "is no rate"),
        (100, {}, "is no rate"),
        ("0/s", {}, "at least 1"),
        ("1/0s", {}, "at least 1"),
        ("1/400d", {}, "366 days"),
        ("1/s", {"burst": 0}, "burst"),
        ("1/s", {"by": "user-agent"}, "by="),
        ("1/s", {"name": 'a"b'}, "name="),
        ("1/s", {"name": "a\r\nX: y"}, "name="),
        ("1/s", {"name": "ü"}, "name="),
        ("1/s", {"name": ""}, "name="),
        ("1/s", {"ipv6_bits": 0}, "ipv6_bits"),
    ],
)
def test_what_is_refused_at_once(rate: Any, options: dict[str, Any], said: str) -> None:
    with pytest.raises(RegistrationError, match=said):
        Throttle(rate, **options)


@pytest.mark.parametrize("keys", [0, 1 << 25])
def test_tables_have_a_bound(keys: int) -> None:
    with pytest.raises(RegistrationError, match="keys"):
        Local(keys=keys)
