"""Throttles that count in Redis, whoever serves the API."""

from __future__ import annotations

import logging
import os
import socket
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from live import MakeClient
from quota_fields import Countdown

from quintette import API, RegistrationError
from quintette.traffic import Redis, Throttle

URL = os.environ.get("QUINTETTE_TEST_REDIS", "redis://127.0.0.1:6379/0")


def _answers() -> bool:
    import redis

    try:
        return bool(redis.Redis.from_url(URL, socket_timeout=20).ping())
    except (redis.RedisError, OSError):
        return False


pytest.importorskip("redis")
needs_redis = pytest.mark.skipif(not _answers(), reason="no Redis server answers")


@pytest.fixture
def store() -> Iterator[Redis]:
    """Under a prefix of the test's own, and with time enough on a busy machine."""
    import redis

    prefix = f"quintette-test:{uuid.uuid4().hex}:"
    yield Redis(URL, timeout_ms=10_000, prefix=prefix)
    client = redis.Redis.from_url(URL)
    for key in client.scan_iter(f"{prefix}*"):
        client.delete(key)


def _api(*throttles: Any) -> API:
    api = API()

    @api.get("/limited", guards=throttles)
    async def limited() -> str:
        return "in"

    @api.get("/thread", guards=throttles)
    def thread() -> str:
        return "in"

    return api


@pytest.mark.redis
@needs_redis
def test_as_in_memory(connect: MakeClient, store: Redis) -> None:
    client = connect(_api(Throttle("3/h", burst=2, name="x", store=store)))
    countdown = Countdown()
    seen = [client.get(path) for path in ("/limited", "/thread", "/limited")]
    assert [r.status_code for r in seen] == [200, 200, 429]
    assert countdown.shows(
        [r.headers["ratelimit"] for r in seen],
        ['"x";r=1;t=1200', '"x";r=0;t=2400', '"x";r=0;t=2400'],
    )
    assert countdown.shows([seen[2].headers["retry-after"]], ["1200"])


@pytest.mark.redis
@needs_redis
def test_one_budget_of_many_processes(connect: MakeClient, store: Redis) -> None:
    """Two objects of one name and rate are as two servers' are."""
    first = connect(_api(Throttle("2/h", name="x", store=store)))
    second = connect(_api(Throttle("2/h", name="x", store=store)))
    other = connect(_api(Throttle("2/h", name="y", store=store)))
    codes = [c.get("/limited").status_code for c in (first, second, first, second, other)]
    assert codes == [200, 200, 429, 429, 200]


@pytest.mark.redis
@needs_redis
def test_what_is_kept(store: Redis) -> None:
    """No key of a client's in the clear, and each with an end."""
    import redis

    throttle = Throttle("1/m", by=lambda request: "secret", name="x", store=store)
    ask = throttle._counter.ask
    assert ask is not None
    allowed, remaining, reset, retry = ask(b"\x01" * 16)
    assert (allowed, remaining, retry) == (True, 0, 60_000_000_000)
    assert reset == 60_000_000_000
    client = redis.Redis.from_url(URL)
    keys = list(client.scan_iter(f"{store.prefix}*"))
    assert keys == [f"{store.prefix}x:1/60:{'01' * 16}".encode()]
    assert 0 < client.pttl(keys[0]) <= 60_000


@pytest.mark.redis
@needs_redis
def test_many_at_once(store: Redis) -> None:
    """No more than the budget, however they race."""
    ask = Throttle("5/h", name="x", store=store)._counter.ask
    assert ask is not None
    with ThreadPoolExecutor(8) as pool:
        verdicts = list(pool.map(lambda _: ask(b"k" * 16), range(40)))
    assert sum(verdict[0] for verdict in verdicts) == 5


@pytest.mark.redis
@needs_redis
def test_a_clock_that_was_set_back(store: Redis) -> None:
    import redis

    ask = Throttle("1/m", name="x", store=store)._counter.ask
    assert ask is not None
    client = redis.Redis.from_url(URL)
    client.set(f"{store.prefix}x:1/60:{'00' * 16}", str(10**17))
    allowed, _, reset, retry = ask(b"\0" * 16)
    assert (allowed, reset, retry) == (False, 60_000_000_000, 60_000_000_000)


# --- a store that does not answer ----------------------------------------------------------


@pytest.fixture(params=["refuses", "silent"])
def dead(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a port that is closed, or of one where nobody says anything."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        port = listener.getsockname()[1]
        if request.param == "refuses":
            listener.close()
        yield f"redis://127.0.0.1:{port}/0"


def test_requests_go_uncounted(
    connect: MakeClient, dead: str, caplog: pytest.LogCaptureFixture
) -> None:
    client = connect(_api(Throttle("1/h", name="x", store=Redis(dead))))
    begin = time.monotonic()
    with caplog.at_level(logging.WARNING, "quintette.traffic"):
        seen = [client.get(path) for path in ("/limited", "/thread") * 10]
    seconds = time.monotonic() - begin
    assert {r.status_code for r in seen} == {200}
    assert "ratelimit" not in seen[0].headers
    warnings = [r for r in caplog.records if r.name == "quintette.traffic"]
    assert "'x' does not answer" in warnings[0].getMessage()
    # Once a second at most, and nobody waits twice in one.
    assert len(warnings) <= seconds + 1


def test_or_are_refused(connect: MakeClient, dead: str) -> None:
    store = Redis(dead, on_failure="refuse")
    client = connect(_api(Throttle("1/h", name="x", store=store)))
    for path in ("/limited", "/thread"):
        refused = client.get(path)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"timeout_ms": 0}, "timeout_ms"),
        ({"on_failure": "shrug"}, "on_failure"),
        ({"connections": 0}, "connections"),
    ],
)
def test_what_is_refused_at_once(options: dict[str, Any], said: str) -> None:
    with pytest.raises(RegistrationError, match=said):
        Redis(URL, **options)


def test_a_name_is_needed() -> None:
    with pytest.raises(RegistrationError, match="needs a name="):
        Throttle("1/s", store=Redis(URL))
