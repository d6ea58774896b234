"""CORS: which other sites' scripts may read what an API answers (Fetch standard, 3.2)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

from quintette import _quintette
from quintette.api.answer import lines_of
from quintette.api.errors import RegistrationError
from quintette.api.guards import Guard, GuardedRoute, Order

METHODS = ("DELETE", "GET", "OPTIONS", "PATCH", "POST", "PUT")
HEADERS = (
    "accept",
    "authorization",
    "content-type",
    "user-agent",
    "x-csrftoken",
    "x-requested-with",
)
MAX_AGE = 86_400
ORIGINS_MAX = 1000

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_DEFAULT_PORTS = {"http": 80, "https": 443}


class CORS(Guard):
    """``CORS(origins=["https://app.example.com"])``.

    ``origins`` are exact ("https://app.example.com"), all hosts below one
    ("https://*.example.com"), "*" for all, or "null"; ``origin_regexes`` must match as a whole.
    ``headers=["*"]`` grants whatever fields a preflight asks for.
    """

    order = Order.CORS
    kind = "cors"

    def __init__(
        self,
        origins: Iterable[str] = (),
        *,
        origin_regexes: Iterable[str | re.Pattern[str]] = (),
        methods: Iterable[str] = METHODS,
        headers: Iterable[str] = HEADERS,
        credentials: bool = False,
        max_age: int = MAX_AGE,
        expose: Iterable[str] = (),
        private_network: bool = False,
    ) -> None:
        given = _listed("origins", origins)
        self._any = "*" in given
        if credentials and (self._any or "null" in given):
            # Any page at all, a sandboxed frame's among them, could act as the user.
            raise RegistrationError('CORS: "*" and "null" cannot be had with credentials')
        if len(given) > ORIGINS_MAX:
            raise RegistrationError(f"CORS: {ORIGINS_MAX} origins at most; use origin_regexes")
        plain = [origin for origin in given if origin != "*"]
        self._exact = tuple(_checked(o).encode() for o in plain if "*" not in o)
        self._patterns = tuple(_pattern(o) for o in plain if "*" in o)
        self._matchers = tuple(map(_matcher, _listed("origin_regexes", origin_regexes)))
        if not (given or self._matchers):
            raise RegistrationError("CORS: no origins; leave it away, or say which")
        names = _tokens("headers", headers)
        self._echo = "*" in names
        exposed = _tokens("expose", expose)
        if credentials and "*" in exposed:
            raise RegistrationError('CORS(expose=["*"]) means no field but "*" with credentials')
        self._grant = _lines(
            ("Access-Control-Allow-Credentials", "true" if credentials else ""),
            ("Access-Control-Expose-Headers", ", ".join(exposed)),
        )
        if not 0 <= max_age <= MAX_AGE:
            raise RegistrationError(f"CORS(max_age={max_age!r}): 0 to {MAX_AGE} seconds")
        self._preflight = _lines(
            ("Access-Control-Allow-Methods", ", ".join(_tokens("methods", methods))),
            ("Access-Control-Allow-Headers", "" if self._echo else ", ".join(names)),
            ("Access-Control-Max-Age", str(max_age)),
        )
        self._private_network = private_network

    @property
    def is_for_all(self) -> bool:
        """Whoever asks is granted the same."""
        return self._any

    def compile(self, route: GuardedRoute | None) -> _quintette.CorsGuard:
        return _quintette.CorsGuard(
            exact=self._exact,
            patterns=self._patterns,
            matchers=self._matchers,
            grant=self._grant,
            preflight=self._preflight,
            any=self._any,
            echo_headers=self._echo,
            private_network=self._private_network,
        )


def _lines(*fields: tuple[str, str]) -> bytes:
    return lines_of((name, value) for name, value in fields if value)


def _listed(what: str, values: Any) -> list[Any]:
    if isinstance(values, str):
        raise RegistrationError(f"CORS({what}={values!r}): a list is needed")
    return list(values)


def _tokens(what: str, values: Iterable[str]) -> list[str]:
    names = _listed(what, values)
    for name in names:
        if not isinstance(name, str) or not _TOKEN.fullmatch(name):
            raise RegistrationError(f"CORS({what}=...): {name!r} is no name")
    return names


def _checked(origin: str) -> str:
    """As browsers send it (RFC 6454, 6.2): scheme and host in lower case, a port unless it is the
    scheme's, nothing behind."""
    if origin == "null":
        return origin
    parts = urlsplit(origin)
    try:
        port = parts.port
    except ValueError as error:
        raise RegistrationError(f"CORS: {origin!r} is no origin: {error}") from None
    if not parts.scheme or not parts.hostname or not origin.isascii():
        raise RegistrationError(
            f'CORS: {origin!r} is no origin; write "https://example.com", other than ASCII as IDNA'
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    suffix = f":{port}" if port and port != _DEFAULT_PORTS.get(parts.scheme) else ""
    sent = f"{parts.scheme}://{host}{suffix}"
    if origin != sent:
        raise RegistrationError(f"CORS: browsers send {origin!r} as {sent!r}; write it so")
    return origin


def _matcher(regex: str | re.Pattern[str]) -> Callable[[str], Any]:
    try:
        return re.compile(regex).fullmatch
    except re.error as error:
        raise RegistrationError(f"CORS: {regex!r} is no regular expression: {error}") from None


def _pattern(origin: str) -> tuple[bytes, bytes]:
    """What is before and behind the labels that "*" stands for."""
    head, star, tail = origin.partition("://*.")
    if not star or "*" in head + tail:
        raise RegistrationError(f'CORS: {origin!r}: "*" stands for the first labels of a host')
    _checked(f"{head}://{tail}")
    return f"{head}://".encode(), f".{tail}".encode()
