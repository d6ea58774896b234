"""Requests to bytes, bytes to responses."""

from __future__ import annotations

import http.client
import io
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import IO, Any
from urllib.parse import quote, urlencode, urlsplit

import msgspec

Params = Mapping[str, Any] | Iterable[tuple[str, Any]] | str | None
FileValue = bytes | IO[bytes] | tuple[str, bytes | IO[bytes]] | tuple[str, bytes | IO[bytes], str]
Files = Mapping[str, FileValue | list[FileValue]] | None


class Headers(Mapping[str, str]):
    """Header fields, whatever their case; repeated ones joined by commas."""

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self._pairs = list(pairs)

    def __getitem__(self, name: str) -> str:
        values = self.get_list(name)
        if not values:
            raise KeyError(name)
        return ", ".join(values)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name.lower() for name, _ in self._pairs))

    def __len__(self) -> int:
        return len({name.lower() for name, _ in self._pairs})

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(self.get_list(name))

    def get_list(self, name: str) -> list[str]:
        return [value for key, value in self._pairs if key.lower() == name.lower()]

    def __repr__(self) -> str:
        return f"Headers({self._pairs!r})"


@dataclass
class Response:
    status_code: int
    headers: Headers
    content: bytes = b""
    cookies: dict[str, str] = field(default_factory=dict)
    """Those that this response sets."""

    @property
    def text(self) -> str:
        return self.content.decode()

    def json(self) -> Any:
        return msgspec.json.decode(self.content)

    @property
    def ok(self) -> bool:
        return self.status_code < 400


@dataclass
class Request:
    method: str
    target: str
    """Path and query, percent-encoded."""
    fields: list[tuple[str, str]]
    body: bytes

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]

    def wire(self, *, keep_alive: bool = False) -> bytes:
        """As HTTP/1.1."""
        lines = [f"{self.method} {self.target} HTTP/1.1", "Host: testserver"]
        if not keep_alive:
            lines.append("Connection: close")
        lines += [f"{name}: {value}" for name, value in self.fields]
        if self.body:
            lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + self.body


def build_request(
    method: str,
    path: str,
    *,
    params: Params = None,
    json: Any = None,
    data: Any = None,
    files: Files = None,
    content: bytes | None = None,
    headers: Mapping[str, str] | Iterable[tuple[str, str]] | None = None,
    cookies: Mapping[str, str] | None = None,
) -> Request:
    fields = list(headers.items() if isinstance(headers, Mapping) else headers or ())
    body, content_type = _body(json, data, files, content)
    if content_type and not any(name.lower() == "content-type" for name, _ in fields):
        fields.append(("Content-Type", content_type))
    if cookies:
        fields.append(("Cookie", "; ".join(f"{name}={value}" for name, value in cookies.items())))
    return Request(method.upper(), _target(path, params), fields, body)


def _target(path: str, params: Params) -> str:
    parts = urlsplit(path)
    target = quote(parts.path, safe="/%:@!$&'()*+,;=~-._") or "/"
    queries = [quote(parts.query, safe="=&%+:@!$'()*,;/?~-._[]")] if parts.query else []
    if isinstance(params, str):
        queries.append(params)
    elif params:
        queries.append(urlencode(_pairs(params)))
    return f"{target}?{'&'.join(queries)}" if queries else target


def _pairs(params: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Lists become repeated names, None is left out, booleans are words."""
    pairs: list[tuple[str, Any]] = []
    for name, value in params.items() if isinstance(params, Mapping) else params:
        values = value if isinstance(value, (list, tuple, set)) else (value,)
        pairs.extend(
            (name, str(one).lower() if isinstance(one, bool) else one)
            for one in values
            if one is not None
        )
    return pairs


def _body(json: Any, data: Any, files: Files, content: bytes | None) -> tuple[bytes, str]:
    if sum(given is not None for given in (json, content)) + bool(data or files) > 1:
        raise TypeError("json, content and data or files: one of them")
    if json is not None:
        return msgspec.json.encode(json), "application/json"
    if content is not None:
        return content, ""
    if files:
        return _multipart(_pairs(data or {}), files)
    if data is not None:
        return urlencode(_pairs(data)).encode(), "application/x-www-form-urlencoded"
    return b"", ""


def _multipart(pairs: list[tuple[str, Any]], files: Mapping[str, Any]) -> tuple[bytes, str]:
    boundary = secrets.token_hex(16)
    body = io.BytesIO()
    for name, value in pairs:
        body.write(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{_escape(name)}"\r\n\r\n'
            f"{value}\r\n".encode()
        )
    for name, given in files.items():
        for one in given if isinstance(given, list) else [given]:
            filename, content, content_type = _file(name, one)
            body.write(
                f"--{boundary}\r\nContent-Disposition: form-data; "
                f'name="{_escape(name)}"; filename="{_escape(filename)}"\r\n'
                f"Content-Type: {content_type}\r\n\r\n".encode()
            )
            body.write(content)
            body.write(b"\r\n")
    body.write(f"--{boundary}--\r\n".encode())
    return body.getvalue(), f"multipart/form-data; boundary={boundary}"


def _escape(name: str) -> str:
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def _file(name: str, value: Any) -> tuple[str, bytes, str]:
    filename, content_type = name, "application/octet-stream"
    if isinstance(value, tuple):
        filename, value, *rest = value
        content_type = rest[0] if rest else content_type
    content: bytes = value if isinstance(value, bytes) else value.read()
    return filename, content, content_type


# --- responses --------------------------------------------------------------------------


class _Wire:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, mode: str) -> IO[bytes]:
        return io.BytesIO(self._data)


def parse_response(method: str, data: bytes) -> Response:
    """A whole HTTP/1.1 response."""
    response = http.client.HTTPResponse(_Wire(data), method=method)  # type: ignore[arg-type]
    try:
        response.begin()
        content = response.read()
    except http.client.IncompleteRead as error:
        raise ConnectionError("the response was cut off") from error
    return make_response(response.status, response.getheaders(), content)


def make_response(status: int, pairs: Iterable[tuple[str, str]], content: bytes) -> Response:
    headers = Headers((name, value.strip()) for name, value in pairs)
    cookies = {
        name: morsel.value
        for line in headers.get_list("Set-Cookie")
        for name, morsel in SimpleCookie(line).items()
    }
    return Response(status, headers, content, cookies)


def deleted_cookies(response: Response) -> set[str]:
    return {
        name
        for line in response.headers.get_list("Set-Cookie")
        for name, morsel in SimpleCookie(line).items()
        if morsel["max-age"] == "0"
    }
