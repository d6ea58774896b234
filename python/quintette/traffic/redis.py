"""Counting in Redis or Valkey, for servers that share a budget."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal
from weakref import WeakKeyDictionary

from django.utils.crypto import salted_hmac

from quintette.api.errors import HTTPError, RegistrationError
from quintette.traffic.rates import Rate
from quintette.traffic.stores import Counter

logger = logging.getLogger("quintette.traffic")

TIMEOUT_MS: Final = 50
CONNECTIONS: Final = 50
# A store that has failed is left alone for so long, and complained of as often.
REST_SECONDS: Final = 1.0
# What its client knows.
_SCHEMES: Final = ("redis://", "rediss://", "unix://")

# The generic cell rate algorithm (see include/q5/limit.h), in microseconds of the store's clock.
# A clock that was set back must not lock anybody out: the time is no further ahead than it can be.
_SCRIPT = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, whole = tonumber(ARGV[1]), tonumber(ARGV[2])
local arrival = tonumber(redis.call('GET', KEYS[1]) or 0)
local from = math.min(math.max(arrival, now), now + whole)
local used = from + interval - now
if used > whole then
  return {0, string.format('%.0f', from - now)}
end
redis.call('SET', KEYS[1], string.format('%.0f', now + used), 'PX', math.ceil(used / 1000))
return {1, string.format('%.0f', used)}
"""


@dataclass(frozen=True)
class Redis:
    """``Redis("redis://cache:6379/0")``, counted by one round trip for each request.

    A store that does not answer within ``timeout_ms`` is left alone for a second; meanwhile
    requests go uncounted (``on_failure="allow"``) or are answered 503 (``"refuse"``)."""

    url: str
    timeout_ms: int = TIMEOUT_MS
    on_failure: Literal["allow", "refuse"] = "allow"
    prefix: str = "quintette:throttle:"
    connections: int = CONNECTIONS

    def __post_init__(self) -> None:
        if not self.url.startswith(_SCHEMES):
            raise RegistrationError(f"Redis({self.url!r}): a URL begins with {', '.join(_SCHEMES)}")
        if not 1 <= self.timeout_ms <= 10_000:
            raise RegistrationError(f"Redis(timeout_ms={self.timeout_ms!r}): from 1 to 10,000")
        if self.on_failure not in ("allow", "refuse"):
            raise RegistrationError(f'Redis(on_failure={self.on_failure!r}): "allow" or "refuse"')
        if not 1 <= self.connections <= 10_000:
            raise RegistrationError(f"Redis(connections={self.connections!r}): from 1 to 10,000")
        try:
            import redis  # noqa: F401
        except ImportError as error:
            raise RegistrationError(
                "a throttle in Redis needs its client: pip install 'quintette[redis]'"
            ) from error

    def counter(self, name: str | None, rate: Rate, burst: int) -> Counter:
        if name is None:
            raise RegistrationError(
                "a throttle in Redis needs a name=: those of one name and rate share a budget"
            )
        # The same in all processes of the project; nobody else can tell a key from its hash.
        secret = salted_hmac("quintette.traffic.redis", name, algorithm="sha256").digest()[:16]
        return Counter(secret=secret, ask=_Asker(self, self._clients, name, rate, burst).ask)

    @cached_property
    def _clients(self) -> _Clients:
        return _Clients(self)


class _Clients:
    """A client for each event loop, and one for code without one."""

    def __init__(self, store: Redis) -> None:
        self._store = store
        self._of_loops: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()
        self._rest_until = 0.0

    def script(self) -> Any:
        """Of the running loop."""
        loop = asyncio.get_running_loop()
        script = self._of_loops.get(loop)
        if script is None:
            from redis.asyncio import BlockingConnectionPool
            from redis.asyncio import Redis as Client
            from redis.asyncio.retry import Retry

            script = _script(Client, BlockingConnectionPool, Retry, self._store)
            self._of_loops[loop] = script
        return script

    @cached_property
    def script_here(self) -> Any:
        from redis import BlockingConnectionPool
        from redis import Redis as Client
        from redis.retry import Retry

        return _script(Client, BlockingConnectionPool, Retry, self._store)

    @property
    def rests(self) -> bool:
        return time.monotonic() < self._rest_until

    def failed(self, name: str, error: BaseException) -> None:
        if not self.rests:
            self._rest_until = time.monotonic() + REST_SECONDS
            reason = str(error) or type(error).__name__
            logger.warning("The store of throttle %r does not answer: %s", name, reason)


def _script(client: Any, pool: Any, retry: Any, store: Redis) -> Any:
    from redis.backoff import NoBackoff

    seconds = store.timeout_ms / 1000
    # One more try: a connection that was idle may have been closed.
    connections = pool.from_url(
        store.url,
        max_connections=store.connections,
        timeout=seconds,
        socket_timeout=seconds,
        socket_connect_timeout=seconds,
        retry=retry(NoBackoff(), 1),
    )
    return client(connection_pool=connections).register_script(_SCRIPT)


class _Asker:
    """What a throttle asks: (key) -> verdict, in nanoseconds, or a coroutine that gives one."""

    def __init__(self, store: Redis, clients: _Clients, name: str, rate: Rate, burst: int) -> None:
        self._store = store
        self._clients = clients
        self._name = name
        self._prefix = f"{store.prefix}{name}:{rate.count}/{rate.seconds}:"
        # Rounded up: never more than the rate.
        self._interval = -(-rate.seconds * 1_000_000 // rate.count)
        self._whole = self._interval * burst

    def ask(self, key: bytes) -> Any:
        if self._clients.rests:
            return self._without()
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return self._ask_here(key)
        return self._ask(key)

    async def _ask(self, key: bytes) -> Any:
        from redis.exceptions import RedisError

        try:
            async with asyncio.timeout(self._store.timeout_ms / 1000):
                return self._verdict(await self._clients.script()(**self._arguments(key)))
        except (RedisError, OSError) as error:  # TimeoutError is one
            self._clients.failed(self._name, error)
        return self._without()

    def _ask_here(self, key: bytes) -> Any:
        from redis.exceptions import RedisError

        try:
            return self._verdict(self._clients.script_here(**self._arguments(key)))
        except (RedisError, OSError) as error:
            self._clients.failed(self._name, error)
        return self._without()

    def _arguments(self, key: bytes) -> dict[str, list[Any]]:
        return {"keys": [self._prefix + key.hex()], "args": [self._interval, self._whole]}

    def _verdict(self, told: list[Any]) -> tuple[bool, int, int, int]:
        allowed, used = bool(told[0]), int(told[1])
        remaining = max(0, self._whole - used) // self._interval
        retry = max(0, used + self._interval - self._whole)
        return allowed, remaining, used * 1000, retry * 1000

    def _without(self) -> None:
        if self._store.on_failure == "refuse":
            raise HTTPError(
                503,
                "Requests cannot be counted at the moment.",
                headers={"Retry-After": str(round(REST_SECONDS))},
            )
