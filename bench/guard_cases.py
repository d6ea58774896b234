"""The cases about what stands before a handler. Each has rows without it, measured in the same
rounds: what it costs is the quotient."""

from __future__ import annotations

from bench.apps import payloads
from bench.apps.tokens import token
from bench.case import Case

BARE = frozenset({"quintette-bare", "django-bolt-bare"})
"""The rows without what a case is about."""
OF_MIDDLEWARE = {
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
"""What the default middleware adds to an answer."""
ORIGIN = "https://shop.example.org"

CASES = [
    Case(
        "hello_middleware",
        "JSON hello behind the default seven middleware classes",
        "/hello",
        payloads.HELLO,
        environment={"BENCH_MIDDLEWARE": "default"},
        answer_fields=OF_MIDDLEWARE,
        without=BARE,
    ),
    Case(
        "jwt",
        "JSON hello behind a JWT (HS256), no database",
        "/protected",
        payloads.HELLO,
        path_of=dict.fromkeys(BARE, "/hello"),
        fields={"Authorization": f"Bearer {token()}"},
        needs="Authorization",
        without=BARE,
    ),
    *(
        Case(
            name,
            f"JSON of 10 KB, throttled, CORS, {how}",
            "/guarded-10k",
            payloads.PAGE_10K,
            path_of=dict.fromkeys(BARE, "/page-10k"),
            fields={"Origin": ORIGIN, **accepted},
            answer_fields={"Access-Control-Allow-Origin": ORIGIN, **answered},
            without=BARE,
        )
        for name, how, accepted, answered in (
            ("guarded_10k", "compression not asked for", {}, {}),
            (
                "guarded_10k_gzip",
                "compressed (gzip)",
                {"Accept-Encoding": "gzip"},
                {"Content-Encoding": "gzip"},
            ),
        )
    ),
]
