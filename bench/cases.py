"""The cases: one request each, and how its answer is checked."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from bench.apps import payloads, static

_BOUNDARY = "quintette-bench-boundary"
UPLOAD_BYTES = 1_000_000
# django-bolt serves a project's own URLs below a prefix.
MOUNTED = {"django-bolt": "/django/plain"}


@dataclass(frozen=True)
class Case:
    """A request, and the answer that every server must give to it."""

    name: str
    title: str
    path: str
    answer: Any
    """Parsed JSON, or the exact bytes."""
    method: str = "GET"
    body: bytes = b""
    content_type: str = ""
    connections: int = 64
    environment: dict[str, str] = field(default_factory=dict)
    """What the servers of this case are started with."""
    path_of: dict[str, str] = field(default_factory=dict)
    """Another path of a peer that has no free choice of it."""

    def path_for(self, peer: str) -> str:
        return self.path_of.get(peer, self.path)

    def headers(self) -> dict[str, str]:
        return {"Content-Type": self.content_type} if self.content_type else {}

    def wrong(self, body: bytes) -> str | None:
        """What is wrong with an answer, or None."""
        if isinstance(self.answer, bytes):
            right = body == self.answer
        else:
            try:
                right = json.loads(body) == self.answer
            except ValueError:
                right = False
        return None if right else f"answers {body[:80]!r}, which is not what the case expects"


def _multipart(name: str, size: int) -> bytes:
    head = (
        f"--{_BOUNDARY}\r\n"
        f'Content-Disposition: form-data; name="file"; filename="{name}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    # Every byte value, in no simple order: a boundary's first bytes turn up now and then.
    content = bytes((number * 167 + (number >> 8)) % 256 for number in range(size))
    return head.encode() + content + f"\r\n--{_BOUNDARY}--\r\n".encode()


CASES = [
    Case("hello", "JSON hello", "/hello", payloads.HELLO),
    Case(
        "params",
        "path and query parameters",
        "/items/42?q=swing&limit=10&active=true",
        {"id": 42, "q": "swing", "limit": 10, "active": True},
    ),
    Case(
        "body",
        "JSON body, validated, echoed",
        "/orders",
        payloads.ORDER,
        method="POST",
        body=json.dumps(payloads.ORDER, ensure_ascii=False, separators=(",", ":")).encode(),
        content_type="application/json",
    ),
    Case("json_1k", "JSON of 1 KB", "/page-1k", payloads.PAGE_1K),
    Case("json_10k", "JSON of 10 KB", "/page-10k", payloads.PAGE_10K),
    Case(
        "django_view", "plain Django view, no middleware", "/plain", payloads.PLAIN, path_of=MOUNTED
    ),
    Case(
        "django_view_middleware",
        "plain Django view, the default seven middleware classes",
        "/plain",
        payloads.PLAIN,
        environment={"BENCH_MIDDLEWARE": "default"},
        path_of=MOUNTED,
    ),
    *(
        Case(f"static_{size}", f"static file of {size.upper()}B", f"/static/{name}", content)
        for size, name, content in (
            ("1k", "site-1k.css", static.content("site-1k.css")),
            ("100k", "site-100k.css", static.content("site-100k.css")),
        )
    ),
    Case(
        "upload",
        "upload of 1 MB (multipart)",
        "/upload",
        {"name": "tune.bin", "size": UPLOAD_BYTES},
        method="POST",
        body=_multipart("tune.bin", UPLOAD_BYTES),
        content_type=f"multipart/form-data; boundary={_BOUNDARY}",
        connections=16,
    ),
]
BY_NAME = {case.name: case for case in CASES}
TYPED = frozenset({"hello", "params", "body", "json_1k", "json_10k"})
DJANGO = frozenset({"django_view", "django_view_middleware"})
STATIC = frozenset({"static_1k", "static_100k"})
