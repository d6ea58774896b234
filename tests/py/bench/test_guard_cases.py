"""The cases about what stands before a handler: what an answer must say, who may leave it out, and
the floors of what it costs."""

from __future__ import annotations

import gzip
import hmac
import http.server
import json
import threading
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bench import cases, floors, peers, report
from bench.apps import payloads, tokens
from bench.errors import UnavailableError
from bench.guard_cases import BARE, OF_MIDDLEWARE, ORIGIN
from bench.load.round import Round
from bench.server import Launch, Server


@contextmanager
def answering(
    status: int, fields: dict[str, str], body: bytes, without: int | None = None
) -> Iterator[int]:
    """A server that gives one answer, and `without` as the status where nobody is named."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            refused = without is not None and "Authorization" not in self.headers
            self.send_response(without if refused and without else status)
            for name, value in fields.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield listening.server_port
        finally:
            listening.shutdown()
            thread.join(timeout=60)


HELLO = json.dumps(payloads.HELLO).encode()
PAGE = json.dumps(payloads.PAGE_10K).encode()
CORS = {"Access-Control-Allow-Origin": ORIGIN}


@pytest.mark.parametrize(
    ("case", "fields", "body", "wrong"),
    [
        ("hello_middleware", OF_MIDDLEWARE, HELLO, None),
        ("hello_middleware", OF_MIDDLEWARE | {"X-Frame-Options": "ALLOW"}, HELLO, "not DENY"),
        ("hello_middleware", {}, HELLO, "answers X-Frame-Options: None"),
        ("guarded_10k", CORS, PAGE, None),
        ("guarded_10k", {"Access-Control-Allow-Origin": "*"}, PAGE, "Allow-Origin"),
        ("guarded_10k_gzip", CORS | {"Content-Encoding": "gzip"}, gzip.compress(PAGE), None),
        ("guarded_10k_gzip", CORS, PAGE, "answers Content-Encoding: None"),
        ("guarded_10k_gzip", CORS | {"Content-Encoding": "gzip"}, gzip.compress(HELLO), "not what"),
    ],
)
def test_an_answer_must_say_what_the_case_is_about(
    case: str, fields: dict[str, str], body: bytes, wrong: str | None
) -> None:
    with answering(200, fields, body) as port:
        server = Server("quintette", cases.BY_NAME[case], port, Launch([]))
        if wrong is None:
            server.check()
        else:
            with pytest.raises(UnavailableError, match=wrong):
                server.check()


def test_a_row_without_it_answers_without_it() -> None:
    with answering(200, {}, HELLO) as port:
        Server("quintette-bare", cases.BY_NAME["hello_middleware"], port, Launch([])).check()


@pytest.mark.parametrize(("without", "right"), [(401, True), (403, False), (200, False)])
def test_who_names_nobody_must_be_refused(without: int, right: bool) -> None:
    case = cases.BY_NAME["jwt"]
    with answering(200, {}, HELLO, without) as port:
        server = Server("quintette", case, port, Launch([]))
        if right:
            server.check()
        else:
            with pytest.raises(UnavailableError, match=f"answers {without} without Authorization"):
                server.check()
        Server("quintette-bare", case, port, Launch([])).check()


def test_rows_without_it_ask_for_a_route_without_it() -> None:
    for case in cases.GUARDED:
        paths = {cases.BY_NAME[case].path_for(name) for name in BARE}
        assert paths <= {"/hello", "/page-10k"}, case
        assert BARE >= cases.BY_NAME[case].without > set()
        assert {peer.name for peer in peers.ALL if case in peer.cases} >= BARE


def test_the_token_is_signed_and_does_not_expire() -> None:
    """RFC 7515, 3.1 and 5.1: three parts, the last over the first two."""
    signed, _, signature = tokens.token().rpartition(".")
    head, claims = (json.loads(urlsafe_b64decode(part + "==")) for part in signed.split("."))
    assert head == {"alg": "HS256", "typ": "JWT"}
    assert claims["exp"] > 4_000_000_000
    assert urlsafe_b64decode(signature + "==") == hmac.digest(
        tokens.KEY.encode(), signed.encode(), "sha256"
    )
    assert len(tokens.KEY) >= 32


@pytest.mark.parametrize(
    ("case", "ours", "other", "share"),
    [
        ("hello_middleware", "quintette", "quintette-bare", 1.3),
        ("jwt", "quintette", "quintette-bare", 1.25),
        ("guarded_10k", "quintette", "quintette-bare", 1.15),
        ("db-session", "quintette-orm-async", "bolt-orm", 1 / 5),
        ("db-session-sqlite", "quintette-orm-async", "bolt-orm", 1 / 5),
    ],
)
def test_each_has_its_floor(case: str, ours: str, other: str, share: float) -> None:
    def row(server: str, cpu: float) -> dict[str, object]:
        return report.row(case, server, [Round(1000, 1.0, cpu, 1000.0, 0.5, 2.0, 0, 50.0, 0.5)])

    for factor, met in ((1.0, True), (1.01, False)):
        rows = [row(ours, 1200 * share * factor), row(other, 1200.0)]
        part = f"{case}: CPU per request of {ours} at most {share:.3g} of {other}'s"
        found = [each for each in floors.check(rows) if each.floor == part]
        assert [each.met for each in found] == [met]
