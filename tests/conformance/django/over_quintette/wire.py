"""From what Django's test clients build to the bytes of a request, and back from a response's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

# Of a path, as browsers send them (RFC 3986, 3.3); "%" is not among them.
PATH_SAFE = "/!$&'()*+,;=:@~"
# What a query must not hold as it is; clients differ about all the rest.
_QUERY_UNSAFE = re.compile(r"[^\x21-\x7e]|[\"<>#]")


class RefusedError(AssertionError):
    """The server answered without asking the project, or cut the connection."""


@dataclass
class WireRequest:
    method: str
    target: str
    version: str
    fields: list[tuple[str, str]]
    body: bytes = b""
    meta: dict[str, Any] = field(default_factory=dict)
    """What a server or proxy says of a request beside its bytes: REMOTE_ADDR, REMOTE_USER, .."""
    script_name: str = ""

    def encoded(self) -> bytes:
        lines = [f"{self.method} {self.target} {self.version}"]
        lines += [f"{name}: {value}" for name, value in self.fields]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + self.body


@dataclass
class WireResponse:
    status: int
    reason: str
    fields: list[tuple[str, str]]
    body: bytes
    is_cut: bool
    """The connection ended before the body did."""


# --- requests ---------------------------------------------------------------------------

# Keys of a WSGI environment that stand for bytes of the request, or for the server's own doing.
_ON_WIRE = {
    "REQUEST_METHOD",
    "PATH_INFO",
    "QUERY_STRING",
    "SCRIPT_NAME",
    "SERVER_PROTOCOL",
    "CONTENT_TYPE",
    "CONTENT_LENGTH",
    "wsgi.input",
}


def from_environ(environ: Mapping[str, Any]) -> WireRequest:
    """A request whose META, once it has come through the server, is like `environ`."""
    script_name = environ.get("SCRIPT_NAME", "")
    path = script_name.rstrip("/") + environ.get("PATH_INFO", "")
    path = quote(path.encode("latin-1"), PATH_SAFE)
    query = _quote_query(environ.get("QUERY_STRING", ""))
    length = environ.get("CONTENT_LENGTH", "")
    fields = [] if environ.get("HTTP_HOST") else [("Host", _default_host(environ))]
    if environ.get("CONTENT_TYPE"):
        fields.append(("Content-Type", environ["CONTENT_TYPE"]))
    if length:
        fields.append(("Content-Length", str(length)))
    for key, value in environ.items():
        # A browser without cookies sends no field for them.
        if key.startswith("HTTP_") and value is not None and (value or key != "HTTP_COOKIE"):
            fields.append((key[5:].replace("_", "-").title(), str(value)))
    return WireRequest(
        method=environ["REQUEST_METHOD"],
        target=f"{path}?{query}" if query else path,
        version=environ.get("SERVER_PROTOCOL", "HTTP/1.1"),
        fields=fields,
        body=environ["wsgi.input"].read() if length else b"",
        meta={k: v for k, v in environ.items() if k not in _ON_WIRE and not k.startswith("HTTP_")},
        script_name=script_name.encode("latin-1").decode(errors="replace"),
    )


def _quote_query(query: str) -> str:
    return _QUERY_UNSAFE.sub(lambda match: f"%{ord(match[0]):02X}", query)


def _default_host(environ: Mapping[str, Any]) -> str:
    """What a browser would have sent, given the server's name and port."""
    name, port = environ.get("SERVER_NAME", "testserver"), str(environ.get("SERVER_PORT", "80"))
    usual = "443" if environ.get("wsgi.url_scheme") == "https" else "80"
    return name if port == usual else f"{name}:{port}"


def from_scope(scope: Mapping[str, Any], body: bytes) -> WireRequest:
    path = quote(scope["path"].encode(), PATH_SAFE)
    query = scope.get("query_string", "")
    query = _quote_query((query if isinstance(query, bytes) else query.encode()).decode("latin-1"))
    fields = [(n.decode("latin-1"), v.decode("latin-1")) for n, v in scope["headers"]]
    meta = {"wsgi.url_scheme": scope.get("scheme", "http")}
    if scope.get("client"):
        meta["REMOTE_ADDR"], meta["REMOTE_PORT"] = scope["client"]
        meta["REMOTE_HOST"] = meta["REMOTE_ADDR"]
    if scope.get("server"):
        meta["SERVER_NAME"], meta["SERVER_PORT"] = scope["server"][0], str(scope["server"][1])
    return WireRequest(
        method=scope["method"],
        target=f"{path}?{query}" if query else path,
        version=f"HTTP/{scope.get('http_version', '1.1')}",
        fields=[(name, value) for name, value in fields if value or name != "cookie"],
        body=body,
        meta=meta,
        script_name=scope.get("root_path", ""),
    )


# --- responses --------------------------------------------------------------------------


def parse_response(method: str, data: bytes) -> WireResponse:
    """One whole response; AssertionError when it is none, or when more follows it."""
    head, end, rest = data.partition(b"\r\n\r\n")
    assert end, f"no complete response head in {data!r}"
    status_line, *lines = head.decode("latin-1").split("\r\n")
    version, status, reason = status_line.split(" ", 2)
    assert version == "HTTP/1.1", status_line
    fields = []
    for line in lines:
        name, colon, value = line.partition(": ")
        assert colon, line
        fields.append((name, value))
    response = WireResponse(int(status), reason, fields, b"", is_cut=False)
    lower = {name.lower(): value for name, value in fields}
    if method == "HEAD" or response.status in (204, 304):
        assert not rest, rest
    elif lower.get("transfer-encoding") == "chunked":
        _take_chunks(response, rest)
    elif "content-length" in lower:
        length = int(lower["content-length"])
        assert len(rest) <= length, rest
        response.body, response.is_cut = rest, len(rest) < length
    else:
        assert lower.get("connection") == "close", fields
        response.body = rest
    return response


def _take_chunks(response: WireResponse, rest: bytes) -> None:
    chunks = []
    while rest:
        size_text, end, rest = rest.partition(b"\r\n")
        size = int(size_text, 16) if end else -1
        if size <= 0:
            break
        chunks.append(rest[:size])
        rest = rest[size + 2 :]
    else:
        size = -1
    response.body = b"".join(chunks)
    response.is_cut = size != 0
    assert response.is_cut or rest == b"\r\n", rest
