"""Files below a prefix, answered in C."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from wire import LiveServer, Reply, read_answers, rss_bytes, sanitized, until

from quintette import _quintette

MIB = 1 << 20
TEXT = b"0123456789" * 10
MODIFIED = 1_700_000_000


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("outer") / "root"
    (root / "sub dir").mkdir(parents=True)
    (root.parent / "secret.txt").write_bytes(b"secret")
    (root / "a.txt").write_bytes(TEXT)
    (root / "empty.css").write_bytes(b"")
    (root / "page.html").write_bytes(b"<p>")
    (root / "sub dir" / "\u00e9.js").write_bytes(b"js")
    (root / "big.bin").write_bytes(os.urandom(MIB) * 40)
    (root / "link.txt").symlink_to(root.parent / "secret.txt")
    (root / "up").symlink_to("..")
    (root / "inside.txt").symlink_to("a.txt")
    os.mkfifo(root / "pipe")
    for path in root.rglob("*"):
        if not path.is_symlink():
            os.utime(path, (MODIFIED, MODIFIED))
    return root


@pytest.fixture(scope="module")
def live(root: Path) -> Iterator[LiveServer]:
    statics = [("/static/", str(root), {"cache_control": "max-age=60"})]
    with LiveServer(statics=statics, django_sync=lambda request: Reply(b"django")) as live:
        yield live


def test_a_file(live: LiveServer) -> None:
    answer = live.get("/static/a.txt")
    assert (answer.status, answer.body) == (200, TEXT)
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.headers["cache-control"] == "max-age=60"
    assert answer.headers["last-modified"] == formatdate(MODIFIED, usegmt=True)
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["etag"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/static/empty.css", b""),
        ("/static/page.html", b"<p>"),
        ("/static/sub%20dir/%C3%A9.js", b"js"),
        ("/static/%61.txt", TEXT),
        ("/static/a.txt?version=1", TEXT),
    ],
)
def test_paths(live: LiveServer, path: str, body: bytes) -> None:
    assert live.get(path).body == body


def test_head_says_what_get_would(live: LiveServer) -> None:
    for path in ("/static/a.txt", "/static/empty.css", "/static/big.bin"):
        get, head = live.get(path), live.request("HEAD", path)
        assert head.status == 200
        assert head.body == b""
        for name in get.headers.keys() - {"date"}:
            assert head.headers[name] == get.headers[name]


def test_a_head_keeps_the_connection_in_step(live: LiveServer) -> None:
    with live.connect() as sock:
        sock.sendall(b"HEAD /static/big.bin HTTP/1.1\r\nHost: h\r\n\r\n")
        assert next(read_answers(sock, "HEAD")).status == 200
        sock.sendall(b"GET /static/a.txt HTTP/1.1\r\nHost: h\r\n\r\n")
        assert next(read_answers(sock)).body == TEXT


@pytest.mark.parametrize(
    ("wanted", "status", "body"),
    [
        ("bytes=0-9", 206, TEXT[:10]),
        ("bytes=95-", 206, TEXT[95:]),
        ("bytes=-7", 206, TEXT[-7:]),
        ("bytes=0-1000", 206, TEXT),
        ("bytes=100-", 416, None),
        ("bytes=-0", 416, None),
        ("bytes=9-3", 200, TEXT),  # RFC 9110, 14.1.2: invalid, so ignored
        ("lines=0-3", 200, TEXT),
        ("bytes=x", 200, TEXT),
    ],
)
def test_ranges(live: LiveServer, wanted: str, status: int, body: bytes | None) -> None:
    answer = live.get("/static/a.txt", Range=wanted)
    assert answer.status == status
    if status == 206:
        first = TEXT.index(answer.body) if answer.body != TEXT[:10] else 0
        assert answer.headers["content-range"].endswith("/100")
        assert first >= 0
    if status == 416:
        assert answer.headers["content-range"] == "bytes */100"
    else:
        assert answer.body == body


def test_if_range(live: LiveServer) -> None:
    etag = live.get("/static/a.txt").headers["etag"]
    matching = live.get("/static/a.txt", Range="bytes=0-1", If_Range=etag)
    changed = live.get("/static/a.txt", Range="bytes=0-1", If_Range='"other"')
    assert (matching.status, changed.status) == ((200 if etag.startswith("W/") else 206), 200)


def test_conditions(live: LiveServer) -> None:
    etag = live.get("/static/a.txt").headers["etag"]
    then, before = formatdate(MODIFIED, usegmt=True), formatdate(MODIFIED - 1, usegmt=True)
    rows: list[tuple[dict[str, str], int]] = [
        ({"If_None_Match": etag}, 304),
        ({"If_None_Match": "*"}, 304),
        ({"If_None_Match": '"x"'}, 200),
        ({"If_None_Match": f'"x", {etag}'}, 304),
        ({"If_Modified_Since": then}, 304),
        ({"If_Modified_Since": before}, 200),
        ({"If_None_Match": '"x"', "If_Modified_Since": then}, 200),  # RFC 9110, 13.1.3
        ({"If_Unmodified_Since": before}, 412),
        ({"If_Unmodified_Since": then}, 200),
        ({"If_Match": '"x"'}, 412),
        ({"If_Match": "*"}, 200),
    ]
    for headers, status in rows:
        answer = live.get("/static/a.txt", **headers)
        assert answer.status == status, headers
        assert answer.body == (TEXT if status == 200 else answer.body)
        if status == 304:
            assert answer.headers["etag"] == etag


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "BREW"])
def test_other_methods(live: LiveServer, method: str) -> None:
    answer = live.request(method, "/static/a.txt")
    assert answer.status == 405
    assert set(answer.headers["allow"].split(", ")) >= {"GET", "HEAD"}


@pytest.mark.parametrize(
    "path",
    [
        "/static/../secret.txt",
        "/static/%2e%2e/secret.txt",
        "/static/%2E%2E%2fsecret.txt",
        "/static/..%2fsecret.txt",
        "/static/sub%20dir/../../secret.txt",
        "/static/..%5csecret.txt",
        "/static/....//secret.txt",
        "/static//etc/passwd",
        "/static/%2fetc/passwd",
        "/static/up/secret.txt",
        "/static/link.txt",
        "/static/a.txt/",
        "/static/a.txt%00.html",
        "/static/a.txt/../a.txt",
        "/static/sub%20dir",
        "/static/sub%20dir/",
        "/static/nothing",
        "/static/pipe",
        "/static/%zz",
        "/static/" + "x" * 4000,
        "/static/" + "d/" * 2000,
    ],
)
def test_nothing_else_is_found(live: LiveServer, path: str) -> None:
    answer = live.get(path)
    assert answer.status in {400, 404}
    assert b"secret" not in answer.body
    assert b"root:" not in answer.body


def test_other_paths_go_on(live: LiveServer) -> None:
    for path in ("/", "/static", "/staticfile", "/static/"):
        assert live.get(path).body == b"django"


def test_a_large_file_is_sent_by_the_kernel(live: LiveServer, root: Path) -> None:
    whole = (root / "big.bin").read_bytes()
    before = rss_bytes()
    with live.connect() as sock:
        sock.sendall(b"GET /static/big.bin HTTP/1.1\r\nHost: h\r\n\r\n" * 2)
        time.sleep(0.2)
        assert sanitized() or rss_bytes() - before < 16 * MIB
        answers = read_answers(sock)
        for _ in range(2):
            assert hashlib.sha256(next(answers).body).digest() == hashlib.sha256(whole).digest()
    answer = live.get("/static/big.bin", Range=f"bytes={MIB * 3}-{MIB * 5 - 1}")
    assert answer.body == whole[MIB * 3 : MIB * 5]


def test_clients_that_leave_give_descriptors_back(live: LiveServer) -> None:
    open_before = len(os.listdir("/proc/self/fd"))
    for _ in range(50):
        with live.connect() as sock:
            sock.sendall(b"GET /static/big.bin HTTP/1.1\r\nHost: h\r\n\r\n")
            sock.recv(1000)
    until(lambda: live.server.stats()["connections"] == 0)
    assert len(os.listdir("/proc/self/fd")) <= open_before


@pytest.mark.parametrize(
    ("statics", "error"),
    [
        ([("static/", "/tmp")], ValueError),
        ([("/static", "/tmp")], ValueError),
        ([("/", "/tmp")], ValueError),
        ([("/s/", "/nonexistent")], FileNotFoundError),
        ([("/s/",)], TypeError),
        ([("/s/", "/tmp", {"cache_control": 5})], TypeError),
        ([(f"/{n}/", "/tmp") for n in range(17)], ValueError),
        (5, TypeError),
    ],
)
def test_wrong_mounts(statics: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        _quintette.Server(None, statics=statics)
