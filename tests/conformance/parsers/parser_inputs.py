"""Streams of requests: made by a grammar that now and then breaks its own rules, and the rows of
the hostile tests; both as they are and mutated. One seed, one sequence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import TypeVar

from hostile_rows import ROWS

T = TypeVar("T")

# Behind every stream: the request that smuggling would make another one of.
SENTINEL = b"GET /sentinel HTTP/1.1\r\nHost: s\r\n\r\n"

# One in so many of a request's elements is a broken one.
BREAK_EVERY = 40

METHODS = [b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"TRACE", b"QUERY"]
BROKEN_METHODS = [
    b"", b"get", b"GE T", b"G\0T", b"GET\t", b" GET", b"G(T", b"\x80", b"GET\r", b"BREW", b"PRI",
    b"CONNECT", b"M-SEARCH", b"SOURCE", b"PROPFIND", b"A" * 40, b"!#$%&'*+-.^_`|~",
]  # fmt: skip
TARGETS = [
    b"/", b"/a", b"/a/b?c=d", b"/%20", b"/a?b?c", b"/~x;y=1", b"//a", b"/?", b"/a%2Fb", b"/a/../b",
    b"/'()*!$&+,@:=", b"http://h/x", b"http://h", b"HTTP://h:80/a?b", b"https://h/",
]  # fmt: skip
BROKEN_TARGETS = [
    b"", b"a", b"*", b"h:80", b"/a b", b"/a\tb", b"/a\0", b"/\x80", b"/\x7f", b"/\x1f", b"/a#b",
    b"http://", b"http:///x", b"ftp://h/", b"http://u@h/", b"http://h:99999/", b"http://[::1/",
    b"?", b'/"<>', b"/\\^`{|}", b"/%", b"/%zz", b"/\r", b"h", b"http://h h/", b"http://h?q",
    b"://h/",
]  # fmt: skip
VERSIONS = [b"HTTP/1.1"] * 6 + [b"HTTP/1.0"]
BROKEN_VERSIONS = [
    b"", b"HTTP/1.2", b"HTTP/2.0", b"HTTP/0.9", b"HTTP/1", b"HTTP/1.", b"HTTP/1.1 ", b"http/1.1",
    b"HTTP/1.10", b"HTTP/01.1", b"HTTP /1.1", b"HTTP/1.x", b"ICE/1.0", b"RTSP/1.0", b"HTTP/1,1",
    b"HTTP/1.1\t", b"HTTP/1.9", b"HTTP/9.9", b"X",
]  # fmt: skip
ENDS = [b"\r\n"]
BROKEN_ENDS = [
    b"\n", b"\r", b"\r\r\n", b"\r\n\r\n", b"\n\r", b"\r\n ", b"\r\n\t", b" \r\n", b"\0\r\n",
]  # fmt: skip
FIELDS = [
    (b"X-A", b"b"), (b"x-long", b"v" * 90), (b"Accept", b"*/*"), (b"X-Empty", b""),
    (b"Cookie", b"a=b; c=d"), (b"X-Obs", b"\xe9\xff\x80"), (b"X-Tab", b"a\tb"),
    (b"X!#$%&'*+.^`|~", b"1"), (b"Connection", b"keep-alive"), (b"Connection", b"close"),
    (b"connection", b"x, Close"), (b"Connection", b"keep-alive, close"), (b"Upgrade", b"websocket"),
    (b"Connection", b"Upgrade"), (b"Expect", b"100-continue"), (b"TE", b"trailers"),
    (b"Trailer", b"X-T"), (b"Keep-Alive", b"timeout=5"), (b"Proxy-Connection", b"close"),
    (b"Connection", b""), (b"Connection", b",close,"), (b"Accept-Encoding", b"gzip"),
    (b"Content-Type", b"text/plain"), (b"X-A", b'"q\\"'),
]  # fmt: skip
BROKEN_FIELDS = [
    (b"", b"x"), (b"X A", b"b"), (b"X-A ", b"b"), (b" X-A", b"b"), (b"X-A\t", b"b"), (b"X_A", b"b"),
    (b"X\0", b"b"), (b"X\x80", b"b"), (b"X(a)", b"b"), (b"X-A", b"a\0b"), (b"X-A", b"a\rb"),
    (b"X-A", b"a\nb"), (b"X-A", b"a\x0bb"), (b"X-A", b"a\x7f"), (b"X-A", b"\x01"),
    (b"X-A", b"a\r\n b"), (b"X-A", b"\r\n\tb"), (b"X-A\r\n", b"b"), (b"X-A", b"a\r\rb"),
    (b"Expect", b"x"), (b"Host", b"h"), (b"Content-Length", b"1"),
    (b"Transfer-Encoding", b"chunked"), (b"X;A", b"b"), (b"X\x1f", b"b"), (b"\xef\xbb\xbfX", b"b"),
    (b'"X"', b"b"), (b"X-A", b"\x0c"), (b"HTTP2-Settings", b"AAMAAABk"),
    (b"Connection", b"cl\0ose"), (b"Connection", b"close;x"), (b"Connection", b'"close"'),
    (b"Upgrade", b"h2c"), (b"Connection", b"close x"),
]  # fmt: skip
HOSTS = [b"h", b"h:80", b"example.com", b"[::1]", b"127.0.0.1:8000", b"a_b"]
BROKEN_HOSTS = [
    b"", b"h h", b"h/", b"u@h", b"h:x", b"h:", b"h,h", b"[::1", b"h\x80", b"h:99999", b"%zz", b"h?",
]  # fmt: skip
SPACES = [b" "] * 8 + [b"", b"  ", b"\t", b" \t "]
LENGTHS = [
    b"+N", b"-N", b"0xN", b"N, N", b"N,N", b"N N", b" N ", b"\tN", b"N\t", b"0N",
    b"00000000000000000000N", b"N.0", b"", b"N\x0b", b"\x0bN", b"N;", b"1e1",
    b"9223372036854775807", b"9223372036854775808", b"18446744073709551616",
    b"99999999999999999999999", b"N\r\nContent-Length: N", b"N\r\nContent-Length: 0", b"N\0",
    b"\xd9\xa5", b"N_0", b"N\r\n ",
]  # fmt: skip
CODINGS = [
    b"chunked", b"Chunked", b"CHUNKED", b" chunked", b"chunked ", b"chunked\t", b"\tchunked",
    b",chunked", b"chunked,", b"chunked, ", b"gzip", b"gzip, chunked", b"gzip,chunked",
    b"chunked, gzip", b"identity", b"identity, chunked", b"xchunked", b"chunkedx",
    b"chunked, chunked", b"chunked;q=1", b'"chunked"', b"", b"\x0bchunked", b"chunked\0",
    b"chunked\r\n ", b"\r\n chunked", b"chu nked", b"trailers",
    b"chunked\r\nTransfer-Encoding: chunked", b"gzip\r\nTransfer-Encoding: chunked",
    b"chunked\r\nTransfer-Encoding: identity", b"chunked\r\nContent-Length: 3",
    b"chunked\r\nContent-Length: 0", b"\xa0chunked", b"chunked\x7f", b"chunked;",
]  # fmt: skip
SIZES = [
    b"0xN", b" N", b"N ", b"N\t", b"+N", b"-N", b"", b"g", b"N_0", b"N;", b"N;a", b"N;a=b",
    b'N;a="b"', b"N ;a", b"N; a", b"N;a = b", b"N;a=", b"N;=b", b"N;;a", b'N;a="b;c"',
    b'N;a="b\\"c"', b'N;a="', b'N;a="\r\n', b"N;\0", b"N;a\rb", b"N;a\nb", b"N;\x80", b"N;\x7f",
    b"0000N", b"0000000000000000000N", b"10000000000000000", b"ffffffffffffffff", b"N,a", b"N\0",
    b"N;" + b"x" * 300, b"N;\t", b"N;a;b=c", b"N\x0b", b"N;a=b ", b"N.", b"N\r",
]  # fmt: skip
TRAILERS = [
    b"X-T: v", b"X-T:v", b"Content-Length: 5", b"Transfer-Encoding: chunked", b"Host: x", b"X_T: v",
    b"X-T : v", b"X-T", b" X-T: v", b"X-T: a\0", b"X-T: a\r b", b"X-T: a\r\n b", b": v",
    b"X-T: \x7f", b"Connection: close", b"Trailer: x", b"Set-Cookie: a", b"X-T:", b"X-\x80: v",
    b"X-T: \xe9", b"Authorization: x", b"X-T: a\nX-U: b", b"X(T): v", b"Content-Type: x",
    b"X-T: v\t",
]  # fmt: skip
SPECIAL = [
    b"\r", b"\n", b"\r\n", b"\0", b" ", b"\t", b":", b",", b";", b"/", b"\x0b", b"\x7f", b"\x80",
    b"\xff", b"0", b"1", b"a", b"A", b"_", b'"', b"\\", b"\r\n\r\n", b"Content-Length: 1\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Host: h\r\n",
]  # fmt: skip

# Differences that the generator meets seldom.
RARE = [
    b"CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\nContent-Length: 5\r\n\r\nhello",
    b"PRI / HTTP/1.1\r\nHost: h\r\n\r\n",
    b"OPTIONS / RTSP/1.0\r\nHost: h\r\n\r\n",
]


class Generator:
    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._seeds = [row.data for row in ROWS if len(row.data) < 4000]

    def streams(self, count: int) -> Iterator[bytes]:
        """First the hostile rows themselves and the rare ones, not counted."""
        for data in [*(row.data for row in ROWS), *RARE]:
            yield data + SENTINEL
        for number in range(count):
            yield self._mutated() if number % 3 == 2 else self._made() + SENTINEL

    def _pick(self, values: Sequence[T], broken: Sequence[T]) -> T:
        return self._random.choice(values if self._random.randrange(BREAK_EVERY) else broken)

    def _one_in(self, count: int) -> bool:
        return self._random.randrange(count) == 0

    # --- requests -----------------------------------------------------------------------

    def _made(self) -> bytes:
        return b"".join(self._request() for _ in range(self._random.choice((1, 1, 1, 2, 3))))

    def _request(self) -> bytes:
        framing, body = self._framing()
        lines = [self._request_line(), *self._fields(framing)]
        head = b"".join(line + self._pick(ENDS, BROKEN_ENDS) for line in lines)
        first = self._random.choice((b"\r\n", b"\n", b"\r", b" ")) if self._one_in(60) else b""
        return first + head + self._pick(ENDS, BROKEN_ENDS) + body

    def _request_line(self) -> bytes:
        space = [b" "]
        method = self._pick(METHODS, BROKEN_METHODS)
        targets = [*TARGETS, b"*"] if method == b"OPTIONS" else TARGETS
        if method == b"CONNECT":
            targets = [b"h:80", b"h:443", b"[::1]:80", b"h", b"/", b"http://h/"]
        return (
            method
            + self._pick(space, [b"  ", b"\t", b"", b"\r"])
            + self._pick(targets, BROKEN_TARGETS)
            + self._pick(space, [b"  ", b"\t", b"", b"\x0c"])
            + self._pick(VERSIONS, BROKEN_VERSIONS)
        )

    def _fields(self, framing: list[bytes]) -> list[bytes]:
        lines = [] if self._one_in(40) else [self._field(b"Host", self._pick(HOSTS, BROKEN_HOSTS))]
        count = self._random.randrange(4)
        lines += [self._field(*self._pick(FIELDS, BROKEN_FIELDS)) for _ in range(count)]
        lines += framing
        if self._one_in(3):
            self._random.shuffle(lines)
        return lines

    def _field(self, name: bytes, value: bytes) -> bytes:
        space = self._random.choice
        return name + b":" + space(SPACES) + value + (space(SPACES) if self._one_in(8) else b"")

    # --- bodies -------------------------------------------------------------------------

    def _framing(self) -> tuple[list[bytes], bytes]:
        kind = self._random.randrange(10)
        data = self._random.choice(
            (b"", b"hello", b"0\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"x" * 40)
        )
        if kind < 4:
            return [], b""
        if kind < 7:
            size = b"%d" % len(data)
            if self._one_in(4):
                size = self._random.choice(LENGTHS).replace(b"N", size)
            return [self._field(b"Content-Length", size)], data
        coding = self._random.choice(CODINGS) if self._one_in(4) else b"chunked"
        lines = [self._field(b"Transfer-Encoding", coding)]
        if self._one_in(30):
            lines.append(b"Content-Length: %d" % len(data))
        return lines, self._chunks()

    def _chunks(self) -> bytes:
        out = b""
        for data in self._random.sample(
            [b"a", b"hello", b"\r\n", b"x" * 26], self._random.randrange(4)
        ):
            out += self._chunk(b"%x" % len(data), data)
        out += self._size(b"0" if not self._one_in(10) else b"000") + self._pick(ENDS, BROKEN_ENDS)
        for _ in range(self._random.randrange(3) if self._one_in(4) else 0):
            out += self._random.choice(TRAILERS) + self._pick(ENDS, BROKEN_ENDS)
        return out + self._pick(ENDS, BROKEN_ENDS)

    def _chunk(self, size: bytes, data: bytes) -> bytes:
        return (
            self._size(size) + self._pick(ENDS, BROKEN_ENDS) + data + self._pick(ENDS, BROKEN_ENDS)
        )

    def _size(self, size: bytes) -> bytes:
        return self._random.choice(SIZES).replace(b"N", size) if self._one_in(12) else size

    # --- mutation -----------------------------------------------------------------------

    def _mutated(self) -> bytes:
        data = self._random.choice(self._seeds) if self._one_in(2) else self._made()
        for _ in range(self._random.choice((1, 1, 1, 2))):
            data = self._mutate(data)
        return data if self._one_in(6) else data + SENTINEL

    def _mutate(self, data: bytes) -> bytes:
        at = self._random.randrange(len(data) + 1)
        match self._random.randrange(6):
            case 0:
                return data[:at] + self._random.choice(SPECIAL) + data[at:]
            case 1:
                return data[:at] + data[at + 1 :]
            case 2:
                return data[:at] + self._random.choice(SPECIAL) + data[at + 1 :]
            case 3:
                return data[:at]
            case 4:
                lines = data.split(b"\r\n")
                lines.insert(self._random.randrange(len(lines) + 1), self._random.choice(lines))
                return b"\r\n".join(lines)
            case _:
                return data[:at] + bytes([self._random.randrange(256)]) + data[at + 1 :]
