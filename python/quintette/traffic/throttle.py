"""Throttles: how many requests of one client, user or key are let through."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal

import msgspec
from django.http import HttpRequest

from quintette import _quintette
from quintette.api.answer import lines_of, title_of
from quintette.api.errors import RegistrationError
from quintette.api.guards import Guard, GuardedRoute, Order
from quintette.traffic import rates
from quintette.traffic.stores import Local, Store

BURST_MAX = 1_000_000_000
# What an IPv6 site is given at least (RFC 6177): whoever has one has all its addresses.
IPV6_BITS = 64

# Shared with binding/traffic/throttle.h.
_BY_ADDRESS, _BY_CALL, _BY_USER, _BY_AUTH = range(4)
_WORDS = {"address": _BY_ADDRESS, "user": _BY_USER, "auth": _BY_AUTH}

By = Literal["address", "user", "auth"] | Callable[[HttpRequest], Any]


class Throttle(Guard):
    """``Throttle("100/m")``: so many requests of one client, the rest are answered 429.

    One object is one budget: all routes that it stands before draw on it together. What was used
    comes back evenly, a request every period/count; ``burst`` (by default the rate's count) may
    come at once. Throttles of several names each count for themselves, in the order given; one of
    a router's or route's own takes the place of an outer one of its name.
    """

    order = Order.ADDRESS

    def __init__(
        self,
        rate: str,
        by: By = "address",
        *,
        burst: int | None = None,
        name: str | None = None,
        store: Store | None = None,
        ipv6_bits: int = IPV6_BITS,
    ) -> None:
        self._rate = rates.parse(rate)
        self._burst = self._rate.count if burst is None else burst
        if not 1 <= self._burst <= BURST_MAX:
            raise RegistrationError(f"Throttle(burst={burst!r}): from 1 to {BURST_MAX}")
        if not callable(by) and by not in _WORDS:
            raise RegistrationError(f"Throttle(by={by!r}): one of {list(_WORDS)}, or a function")
        if not 1 <= ipv6_bits <= 128:
            raise RegistrationError(f"Throttle(ipv6_bits={ipv6_bits!r}): from 1 to 128")
        self._name = "default" if name is None else _checked_name(name)
        if by != "address":
            # Who asks is known behind authentication. Of the instance, which sorting looks at.
            self.order = Order.THROTTLE  # type: ignore[misc]
        self.kind = _kind(self._name)  # type: ignore[misc]
        self._by = by
        self._store: Store = Local() if store is None else store
        if not hasattr(self._store, "counter"):
            raise RegistrationError(
                f'Throttle(store={store!r}): a store, such as Local() or Redis("redis://...")'
            )
        self._counter = self._store.counter(name, self._rate, self._burst)
        self._ipv6_bits = ipv6_bits

    def compile(self, route: GuardedRoute) -> _quintette.Guard:
        counter = self._counter
        return _quintette.ThrottleGuard(
            count=self._rate.count,
            period_nsec=self._rate.seconds * 1_000_000_000,
            burst=self._burst,
            by=_BY_CALL if callable(self._by) else _WORDS[self._by],
            ipv6_bits=self._ipv6_bits,
            key_of=self._by if callable(self._by) else _credential,
            table=counter.table,
            ask=counter.ask,
            secret=counter.secret,
            item=f'"{self._name}"'.encode(),
            policy=self._policy(),
            refusal=lines_of(
                [("Content-Type", "application/problem+json"), ("Cache-Control", "no-store")]
            ),
            body=self._problem(),
        )

    def _policy(self) -> bytes:
        """draft-ietf-httpapi-ratelimit-headers-10, 3: quota and window in seconds."""
        rate = self._rate
        return lines_of([("RateLimit-Policy", f'"{self._name}";q={rate.count};w={rate.seconds}')])

    def _problem(self) -> bytes:
        """The problem type of the same draft."""
        return msgspec.json.encode(
            {
                "type": "https://iana.org/assignments/http-problem-types#quota-exceeded",
                "title": title_of(429),
                "status": 429,
                "violated-policies": [self._name],
            }
        )


class Unthrottled(Guard):
    """Lifts the outer throttle of that name."""

    def __init__(self, name: str = "default") -> None:
        self.kind = _kind(name)  # type: ignore[misc]

    def compile(self, route: GuardedRoute) -> None:
        return None


def _kind(name: str) -> str:
    return f"throttle {name}"


def _credential(auth: Any) -> str:
    """Whose credentials these are: a token's subject, or the row of a key."""
    claim = auth.get if isinstance(auth, Mapping) else partial(_attribute, auth)
    subject = claim("sub")
    if isinstance(subject, str):
        return f"{claim('iss')!r} {subject}"
    if (pk := _attribute(auth, "pk")) is not None:
        return f"{type(auth).__name__} {pk}"
    raise TypeError(f"a throttle by credentials cannot tell whose {auth!r} is; give it a function")


def _attribute(auth: Any, name: str) -> Any:
    return getattr(auth, name, None)


def _checked_name(name: str) -> str:
    """A string of structured fields (RFC 9651, 3.3.3) that needs no escapes."""
    if not name or len(name) > 64 or any(not " " <= c <= "~" or c in '"\\' for c in name):
        raise RegistrationError(f"Throttle(name={name!r}): up to 64 printable ASCII characters")
    return name
