"""A case's request as files, in the forms that the load generators read."""

from __future__ import annotations

from pathlib import Path

from bench.case import Case
from bench.places import BUILD
from bench.server import Server


def wrk_script(case: Case) -> Path:
    """Static values only: wrk then builds the request once and calls no Lua per request."""
    body = _write(f"{case.name}.body", case.body)
    headers = "".join(
        f'wrk.headers["{name}"] = "{value}"\n' for name, value in case.headers().items()
    )
    script = (
        f'local file = assert(io.open("{body}", "rb"))\n'
        f'wrk.method = "{case.method}"\n'
        f"{headers}"
        'wrk.body = file:read("*a")\n'
        "file:close()\n"
    )
    return _write(f"{case.name}.lua", script.encode())


def raw(server: Server) -> Path:
    """As it goes over the wire; with the same fields as wrk sends."""
    case = server.case
    lines = [f"{case.method} {server.path} HTTP/1.1", f"Host: 127.0.0.1:{server.port}"]
    lines += [f"{name}: {value}" for name, value in case.headers().items()]
    if case.body or case.method != "GET":
        lines.append(f"Content-Length: {len(case.body)}")
    head = "\r\n".join([*lines, "", ""])
    return _write(f"{case.name}-{server.name}.request", head.encode() + case.body)


def _write(name: str, content: bytes) -> Path:
    path = BUILD / "requests" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path
