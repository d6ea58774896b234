"""What hostile clients send, and what must come of it: one row each."""

from __future__ import annotations

from typing import Literal, NamedTuple

End = Literal["kept", "closed", "waits"]


class Row(NamedTuple):
    name: str
    data: bytes
    statuses: tuple[int, ...]
    end: End = "closed"
    body: bytes | None = None
    """Of the last answer."""


HOST = b"Host: h\r\n"


def get(fields: bytes = b"", target: bytes = b"/", host: bytes = HOST) -> bytes:
    return b"GET " + target + b" HTTP/1.1\r\n" + host + fields + b"\r\n"


def post(fields: bytes, body: bytes = b"", target: bytes = b"/") -> bytes:
    return b"POST " + target + b" HTTP/1.1\r\n" + HOST + fields + b"\r\n" + body


def length(value: bytes, body: bytes = b"hello") -> bytes:
    return post(b"Content-Length: " + value + b"\r\n", body)


def coding(value: bytes, body: bytes = b"0\r\n\r\n") -> bytes:
    return post(b"Transfer-Encoding: " + value + b"\r\n", body)


def chunks(body: bytes) -> bytes:
    return coding(b"chunked", body)


def field(line: bytes) -> bytes:
    return get(line + b"\r\n")


REQUEST_LINES = [
    Row("two empty lines first (RFC 9112, 2.2)", b"\r\n\r\n" + get(), (200,), "kept"),
    Row("three empty lines first", b"\r\n\r\n\r\n" + get(), (400,)),
    Row("bare LF", b"GET / HTTP/1.1\nHost: h\n\n", (400,)),
    Row("bare LF behind a field", b"GET / HTTP/1.1\r\nHost: h\n\r\n", (400,)),
    Row("bare LF as the last line", b"GET / HTTP/1.1\r\nHost: h\r\n\n", (400,)),
    Row("bare CR", b"GET / HTTP/1.1\rHost: h\r\r", (400,)),
    Row("CR in the target", get(target=b"/a\rb"), (400,)),
    Row("LF in the target", get(target=b"/a\nb"), (400,)),
    Row("NUL in the target", get(target=b"/a\0b"), (400,)),
    Row("ESC in the target: uvicorn CVE-2020-7694", get(target=b"/\x1b[31mred"), (400,)),
    Row("a tab in the target", get(target=b"/a\tb"), (400,)),
    Row("a byte past ASCII in the target", get(target=b"/\xc3\xa9"), (400,)),
    Row("a space in the target", get(target=b"/a b"), (400,)),
    Row("a fragment", get(target=b"/a#b"), (400,)),
    Row("a space first", b" " + get(), (400,)),
    Row("two spaces", b"GET  / HTTP/1.1\r\n" + HOST + b"\r\n", (400,)),
    Row("a tab for a space", b"GET\t/\tHTTP/1.1\r\n" + HOST + b"\r\n", (400,)),
    Row("a space at the end", b"GET / HTTP/1.1 \r\n" + HOST + b"\r\n", (400,)),
    Row("no method", b" / HTTP/1.1\r\n" + HOST + b"\r\n", (400,)),
    Row("no target", b"GET HTTP/1.1\r\n" + HOST + b"\r\n", (400,)),
    Row("HTTP/0.9", b"GET /\r\n\r\n", (400,)),
    Row("a method that is no token", b"GE(T / HTTP/1.1\r\n" + HOST + b"\r\n", (400,)),
    Row("a method with NUL", b"GE\0T / HTTP/1.1\r\n" + HOST + b"\r\n", (400,)),
    Row("a method of one's own", b"BREW / HTTP/1.1\r\n" + HOST + b"\r\n", (200,), "kept"),
    Row("a method of 9,000 bytes", b"A" * 9000 + b" / HTTP/1.1\r\n\r\n", (414,)),
    Row(
        "TLS on a plain port", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 64, (400,)
    ),
    Row("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (505,)),
    Row("HTTP/2.0", b"GET / HTTP/2.0\r\n" + HOST + b"\r\n", (505,)),
    Row("HTTP/1.2", b"GET / HTTP/1.2\r\n" + HOST + b"\r\n", (505,)),
    Row("HTTP/11", b"GET / HTTP/11\r\n" + HOST + b"\r\n", (400,)),
    Row("HTTP/1.10", b"GET / HTTP/1.10\r\n" + HOST + b"\r\n", (400,)),
    Row("http/1.1", b"GET / http/1.1\r\n" + HOST + b"\r\n", (400,)),
    Row("HTTP/+1.1", b"GET / HTTP/+1.1\r\n" + HOST + b"\r\n", (400,)),
    Row("ICAP/1.0", b"GET / ICAP/1.0\r\n" + HOST + b"\r\n", (400,)),
    Row("a relative target", get(target=b"index.html"), (400,)),
    Row("authority-form to GET (RFC 9112, 3.2.3)", get(target=b"h:80"), (400,)),
    Row("asterisk-form to GET (RFC 9112, 3.2.4)", get(target=b"*"), (400,)),
    Row("OPTIONS *", b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", (204,), "kept"),
    Row("CONNECT", b"CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n", (501,), "kept"),
    Row("CONNECT without a port", b"CONNECT h HTTP/1.1\r\n" + HOST + b"\r\n", (400,)),
    Row("absolute-form (RFC 9112, 3.2.2)", get(target=b"http://h/x"), (200,), "kept"),
    Row("absolute-form with user information", get(target=b"http://a@h/"), (400,)),
    Row("a request line of 8 KiB", get(target=b"/" + b"a" * 8178), (200,), "kept"),
    Row("a request line of 8 KiB and one", get(target=b"/" + b"a" * 8179), (414,)),
    Row("a request line without end", b"GET /" + b"a" * 9000, (414,)),
]

HOSTS = [
    Row("no Host (RFC 9112, 3.2)", get(host=b""), (400,)),
    Row("no Host in HTTP/1.0", b"GET / HTTP/1.0\r\n\r\n", (200,)),
    Row("two Hosts", get(host=HOST + HOST), (400,)),
    Row("two Hosts that differ", get(host=HOST + b"Host: evil\r\n"), (400,)),
    Row("an empty Host", get(host=b"Host: \r\n"), (400,)),
    Row("a Host with a path", get(host=b"Host: h/evil\r\n"), (400,)),
    Row("a Host with user information", get(host=b"Host: a@h\r\n"), (400,)),
    Row("a Host with a space", get(host=b"Host: h evil\r\n"), (400,)),
    Row("a Host with a comma", get(host=b"Host: h, evil\r\n"), (400,)),
    Row("a Host with a port that is none", get(host=b"Host: h:80x\r\n"), (400,)),
    Row("a Host with half an IPv6 address", get(host=b"Host: [::1\r\n"), (400,)),
]

FIELDS = [
    Row("a space before the colon", field(b"X-A : b"), (400,)),
    Row("a space before the first colon", get(host=b"Host : h\r\n"), (400,)),
    Row("no colon", field(b"X-A"), (400,)),
    Row("no name", field(b": b"), (400,)),
    Row("a name that is no token", field(b"X(A): b"), (400,)),
    Row("a name with a byte past ASCII", field(b"X-\xe9: b"), (400,)),
    Row("a name with NUL", field(b"X-\0: b"), (400,)),
    Row("underscore spoofing: Django CVE-2026-3902", field(b"X_Forwarded_For: 1.2.3.4"), (400,)),
    Row("obs-fold by a space (RFC 9112, 5.2)", field(b"X-A: b\r\n c"), (400,)),
    Row("obs-fold by a tab", field(b"X-A: b\r\n\tc"), (400,)),
    Row("a fold of the first field", b"GET / HTTP/1.1\r\n X: y\r\n" + HOST + b"\r\n", (400,)),
    Row("NUL in a value", field(b"X-A: a\0b"), (400,)),
    Row("CR in a value: response splitting, uvicorn CVE-2020-7695", field(b"X-A: a\rb"), (400,)),
    Row("LF in a value", field(b"X-A: a\nX-B: b"), (400,)),
    Row("VT in a value: daphne CVE-2026-44546", field(b"X-A: a\x0bX-B: b"), (400,)),
    Row("FF in a value", field(b"X-A: a\x0cX-B: b"), (400,)),
    Row("FS in a value", field(b"X-A: a\x1cX-B: b"), (400,)),
    Row("ESC in a value: uvicorn CVE-2020-7694", field(b"User-Agent: \x1b[2J"), (400,)),
    Row("DEL in a value", field(b"X-A: \x7f"), (400,)),
    Row(
        "NEL in a value does not split it: daphne CVE-2026-44546",
        field(b"X-A: a\x85X-B: b"),
        (200,),
        "kept",
        b"GET 0 HTTP_X_A",
    ),
    Row("100 fields", get(b"".join(b"X-%d: 1\r\n" % i for i in range(99))), (200,), "kept"),
    Row("101 fields", get(b"".join(b"X-%d: 1\r\n" % i for i in range(100))), (431,)),
    Row("one field 99 times: Django CVE-2025-14550", get(b"X-A: 1\r\n" * 99), (200,), "kept"),
    Row("one field too often", get(b"X-A: 1\r\n" * 5000), (431,)),
    Row("a head past 32 KiB", get(b"X-A: " + b"a" * 33000 + b"\r\n"), (431,)),
    Row("a field without end", b"GET / HTTP/1.1\r\n" + HOST + b"X-A: " + b"a" * 33000, (431,)),
    Row("a name without end", b"GET / HTTP/1.1\r\n" + HOST + b"a" * 33000, (431,)),
    Row("an unfinished head", b"GET / HTTP/1.1\r\nHost:", (), "waits"),
    Row("a byte", b"G", (), "waits"),
]

LENGTHS = [
    Row("a length", length(b"5"), (200,), "kept", b"POST 5 "),
    Row("white space around a length", length(b" 5\t"), (200,), "kept", b"POST 5 "),
    Row("leading zeros", length(b"0005"), (200,), "kept", b"POST 5 "),
    Row("a length with a sign", length(b"+5"), (400,)),
    Row("a negative length", length(b"-5"), (400,)),
    Row("a hexadecimal length", length(b"0x5"), (400,)),
    Row("a length with an underscore", length(b"1_0"), (400,)),
    Row("a length with a fraction", length(b"5.0"), (400,)),
    Row("a length in other digits", length("٥".encode()), (400,)),  # noqa: RUF001
    Row("an empty length", length(b""), (400,)),
    Row("a length with a space", length(b"5 5"), (400,)),
    Row("a listed length (RFC 9112, 6.3)", length(b"5, 5"), (400,)),
    Row("a length twice", length(b"5\r\nContent-Length: 5"), (400,)),
    Row("lengths that differ", length(b"5\r\nContent-Length: 6"), (400,)),
    Row("a length of 2^63", length(b"9223372036854775808"), (400,)),
    Row("a length of 2^64 + 5", length(b"18446744073709551621"), (400,)),
    Row("a length of 1,000 digits", length(b"9" * 1000), (400,)),
    Row(
        "an understated length: Django CVE-2026-33034",
        length(b"4", b"hello\r\n"),
        (200, 400),
    ),
    Row(
        "a request behind a body is one of its own",
        length(b"5") + get(target=b"/second"),
        (200, 200),
        "kept",
        b"GET 0 ",
    ),
    Row("less than announced", length(b"6"), (), "waits"),
    Row("a body past the limit", length(b"100001", b""), (413,)),
    Row("a body far past the limit", length(b"9223372036854775807", b""), (413,)),
    Row("a body at the limit", length(b"100000", b"x" * 100000), (200,), "kept", b"POST 100000 "),
    Row(
        "a body past the limit that is sent all the same",
        length(b"3000000", b"x" * 3000000),
        (413,),
    ),
]

CODINGS = [
    Row(
        "length and coding: gunicorn CVE-2024-1135",
        post(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
        (400,),
    ),
    Row(
        "coding and length",
        post(b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", b"0\r\n\r\n"),
        (400,),
    ),
    Row(
        "coding and a length of 0",
        post(b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", b"0\r\n\r\n"),
        (400,),
    ),
    Row("gzip", coding(b"gzip"), (501,)),
    Row("gzip, chunked", coding(b"gzip, chunked"), (501,)),
    Row("identity: gunicorn CVE-2024-6827", coding(b"identity"), (501,)),
    Row("a coding that nobody knows: gunicorn CVE-2024-6827", coding(b"xchunked"), (501,)),
    Row("chunked twice", coding(b"chunked, chunked"), (400,)),
    Row("chunked in two fields", coding(b"chunked\r\nTransfer-Encoding: chunked"), (400,)),
    Row("chunked is not last: gunicorn CVE-2024-1135", coding(b"chunked, identity"), (400,)),
    Row("an empty coding", coding(b""), (400,)),
    Row("chunked with a parameter", coding(b"chunked;a=b"), (400,)),
    Row("chunked in quotes", coding(b'"chunked"'), (400,)),
    Row("VT before chunked", coding(b"\x0bchunked"), (400,)),
    Row("NUL behind chunked", coding(b"chunked\0"), (400,)),
    Row("NBSP behind chunked", coding(b"chunked\xa0"), (400,)),
    Row(
        "a coding in HTTP/1.0 (RFC 9112, 6.1)",
        b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        (400,),
    ),
    Row(
        "a space before the colon of the coding",
        post(b"Transfer-Encoding : chunked\r\n", b"0\r\n\r\n"),
        (400,),
    ),
    Row("a folded coding", post(b"Transfer-Encoding:\r\n chunked\r\n", b"0\r\n\r\n"), (400,)),
    Row(
        "an underscore in the coding's name",
        post(b"Transfer_Encoding: chunked\r\nContent-Length: 5\r\n", b"0\r\n\r\n"),
        (400,),
    ),
    Row(
        "a coding in capitals",
        coding(b"CHUNKED", b"1\r\na\r\n0\r\n\r\n"),
        (200,),
        "kept",
        b"POST 1 ",
    ),
]

CHUNKS = [
    Row("chunks", chunks(b"3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n"), (200,), "kept", b"POST 13 "),
    Row("two bytes for CRLF: h11 CVE-2025-43859", chunks(b"1\r\naXX0\r\n\r\n"), (400,)),
    Row("LF for CRLF behind data", chunks(b"1\r\na\n0\r\n\r\n"), (400,)),
    Row("LF for CRLF behind a size", chunks(b"1\na\r\n0\r\n\r\n"), (400,)),
    Row("CR behind a size", chunks(b"1\ra\r\n0\r\n\r\n"), (400,)),
    Row("LF for the last line", chunks(b"0\r\n\n"), (400,)),
    Row("no size", chunks(b"\r\n"), (400,)),
    Row("a size in other letters", chunks(b"g\r\n"), (400,)),
    Row("a negative size", chunks(b"-1\r\n"), (400,)),
    Row("a size with a sign", chunks(b"+1\r\na\r\n0\r\n\r\n"), (400,)),
    Row("a size with 0x", chunks(b"0x1\r\na\r\n0\r\n\r\n"), (400,)),
    Row("a size with an underscore", chunks(b"1_0\r\n"), (400,)),
    Row("a space before a size", chunks(b" 1\r\na\r\n0\r\n\r\n"), (400,)),
    Row("a space behind a size", chunks(b"1 \r\na\r\n0\r\n\r\n"), (400,)),
    Row("a size past 64 bits", chunks(b"10000000000000001\r\na"), (400,)),
    Row("a size of 2^64 - 1", chunks(b"ffffffffffffffff\r\n" + b"a" * 100001), (413,)),
    Row(
        "too much in chunks",
        chunks(
            b"8000\r\n"
            + b"a" * 32768
            + b"\r\n"
            + b"10000\r\n"
            + b"a" * 65536
            + b"\r\n"
            + b"20\r\n"
            + b"a" * 32
            + b"\r\n2000\r\n"
            + b"a" * 8192
        ),
        (413,),
    ),
    Row("an extension past 256 bytes", chunks(b"1;" + b"a" * 300 + b"\r\n"), (400,)),
    Row("extensions without end", chunks((b"1;" + b"a" * 200 + b"\r\na\r\n") * 100), (400,)),
    Row("LF in an extension", chunks(b"1;a\nb\r\n"), (400,)),
    Row("a quoted CRLF in an extension", chunks(b'1;a="\r\nb"\r\n'), (400,)),
    Row("NUL in an extension", chunks(b"1;a\0\r\n"), (400,)),
    Row(
        "a length in the trailers (RFC 9110, 6.5.1)",
        chunks(b"0\r\nContent-Length: 5\r\n\r\n"),
        (400,),
    ),
    Row("a coding in the trailers", chunks(b"0\r\nTransfer-Encoding: chunked\r\n\r\n"), (400,)),
    Row("a Host in the trailers", chunks(b"0\r\nHost: evil\r\n\r\n"), (400,)),
    Row("credentials in the trailers", chunks(b"0\r\nAuthorization: Basic eA==\r\n\r\n"), (400,)),
    Row("a trailer with a space", chunks(b"0\r\nX-A : b\r\n\r\n"), (400,)),
    Row("a folded trailer", chunks(b"0\r\nX-A: b\r\n c\r\n\r\n"), (400,)),
    Row("trailers without end", chunks(b"0\r\n" + b"X-A: b\r\n" * 2000), (400,)),
    Row("a trailer is dropped", chunks(b"0\r\nX-A: b\r\n\r\n"), (200,), "kept", b"POST 0 "),
    Row("no last line", chunks(b"1\r\na\r\n0\r\n"), (), "waits"),
    Row(
        "a request behind chunks is one of its own",
        chunks(b"0\r\n\r\n") + get(),
        (200, 200),
        "kept",
        b"GET 0 ",
    ),
]

OTHERS = [
    Row(
        "an unknown expectation (RFC 9110, 10.1.1)",
        post(b"Content-Length: 5\r\nExpect: 200-maybe\r\n"),
        (417,),
    ),
    Row("100-continue", post(b"Content-Length: 5\r\nExpect: 100-continue\r\n"), (100,), "waits"),
    Row(
        "100-continue for too much",
        post(b"Content-Length: 100001\r\nExpect: 100-continue\r\n"),
        (413,),
    ),
    Row(
        "h2c is not for us (RFC 9113, 3.1)",
        get(b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"),
        (200,),
        "kept",
    ),
    Row("close, and more requests behind it", get(b"Connection: close\r\n") + get() * 5, (200,)),
    Row("close among other options", get(b"Connection: x, Close\r\n"), (200,)),
    Row("twenty good ones and a bad one", get() * 20 + b"\0", (200,) * 20 + (400,)),
    Row("a file outside the root", get(target=b"/static/../hostile_rows.py"), (404,), "kept"),
    Row(
        "a file outside the root, encoded",
        get(target=b"/static/%2e%2e/hostile_rows.py"),
        (404,),
        "kept",
    ),
    Row(
        "a file outside the root, encoded slash",
        get(target=b"/static/..%2fhostile_rows.py"),
        (404,),
        "kept",
    ),
    Row(
        "a file outside the root, backslash",
        get(target=b"/static/..%5chostile_rows.py"),
        (404,),
        "kept",
    ),
    Row("an absolute file", get(target=b"/static//etc/passwd"), (404,), "kept"),
    Row("a link out of the root", get(target=b"/static/link"), (404,), "kept"),
    Row("NUL in a file's name", get(target=b"/static/a.txt%00.png"), (404,), "kept"),
    Row("a file", get(target=b"/static/a.txt"), (200,), "kept", b"static"),
    Row(
        "many ranges: Starlette CVE-2025-62727",
        get(
            b"Range: bytes=" + b",".join(b"%d-" % (i % 6) for i in range(2000)) + b"\r\n",
            target=b"/static/a.txt",
        ),
        (200,),
        "kept",
        b"static",
    ),
    Row(
        "a range past every number",
        get(b"Range: bytes=99999999999999999999999-\r\n", target=b"/static/a.txt"),
        (416,),
        "kept",
    ),
]

ROWS = [*REQUEST_LINES, *HOSTS, *FIELDS, *LENGTHS, *CODINGS, *CHUNKS, *OTHERS]
