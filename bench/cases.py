"""All cases, in the order of the tables."""

from __future__ import annotations

import json

from bench import database_cases, guard_cases, realtime_cases
from bench.apps import payloads, static
from bench.case import Case

_BOUNDARY = "quintette-bench-boundary"
UPLOAD_BYTES = 1_000_000
# django-bolt serves a project's own URLs below a prefix.
MOUNTED = {"django-bolt": "/django/plain"}


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
    *guard_cases.CASES,
    *realtime_cases.CASES,
    *database_cases.CASES,
]
BY_NAME = {case.name: case for case in CASES}
TYPED = frozenset({"hello", "params", "body", "json_1k", "json_10k"})
DJANGO = frozenset({"django_view", "django_view_middleware"})
STATIC = frozenset({"static_1k", "static_100k"})
GUARDED = frozenset(case.name for case in guard_cases.CASES)
REALTIME = frozenset(case.name for case in realtime_cases.CASES)
DATABASE = frozenset(case.name for case in database_cases.CASES)

__all__ = [
    "BY_NAME",
    "CASES",
    "DATABASE",
    "DJANGO",
    "GUARDED",
    "REALTIME",
    "STATIC",
    "TYPED",
    "UPLOAD_BYTES",
    "Case",
]
