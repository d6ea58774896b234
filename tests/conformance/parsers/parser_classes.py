"""Every way in which libq5 is known to differ from the other parsers, and why. Run as a program it
prints the table of docs/parser-differences.md."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from parser_compare import Disagreement, Kind

NODE = ("llhttp", "httptools")
ALL = (*NODE, "h11")

When = Callable[[Disagreement], bool]


@dataclass(frozen=True)
class Class:
    name: str
    rule: str
    """The clause, and what it asks."""
    kinds: tuple[Kind, ...]
    peers: tuple[str, ...]
    why: str
    """A pattern for the whole reason of the side that refuses; "" where both accept."""
    ours: str
    theirs: str
    when: When

    def explains(self, it: Disagreement) -> bool:
        return (
            it.kind in self.kinds
            and it.peer in self.peers
            and re.fullmatch(self.why, it.refusal, re.DOTALL) is not None
            and self.when(it)
        )


# --- predicates -------------------------------------------------------------------------


def has(pattern: bytes) -> When:
    """The request's bytes, up to our refusal."""
    compiled = re.compile(pattern, re.DOTALL | re.IGNORECASE)
    return lambda it: compiled.search(it.bytes) is not None


def values(it: Disagreement, name: bytes) -> list[bytes]:
    return [value for key, value in it.message.fields if key == name]


def hosts(count: Callable[[int], bool]) -> When:
    return lambda it: count(len(values(it, b"host")))


def target(pattern: bytes, *, connect: bool = False) -> When:
    compiled = re.compile(pattern, re.DOTALL)
    return lambda it: (
        (it.message.method == b"CONNECT") is connect
        and compiled.fullmatch(it.message.target) is not None
    )


def options(it: Disagreement) -> list[bytes]:
    joined = b",".join(values(it, b"connection")).lower()
    return [option.strip(b" \t") for option in joined.split(b",")]


def version(*which: str) -> When:
    return lambda it: it.message.version in which


def both(*tests: When) -> When:
    return lambda it: all(test(it) for test in tests)


def no(test: When) -> When:
    return lambda it: not test(it)


def big(it: Disagreement) -> bool:
    return any(value.isdigit() and int(value) >= 1 << 63 for value in values(it, b"content-length"))


def proxied(it: Disagreement) -> bool:
    return bool(values(it, b"proxy-connection")) and b"close" not in options(it)


def tunnelled(it: Disagreement) -> bool:
    """They end CONNECT behind its head."""
    return it.peer in NODE and it.message.method == b"CONNECT"


def upgraded(it: Disagreement) -> bool:
    """httptools ends such a request behind its head."""
    asks = bool(values(it, b"upgrade")) and b"upgrade" in options(it)
    return it.peer == "httptools" and asks and not tunnelled(it)


def chunks(pattern: bytes) -> When:
    return both(no(upgraded), no(tunnelled), has(pattern))


def close_beside_others(it: Disagreement) -> bool:
    """Connection has "close", and something else."""
    return b"close" in options(it) and len(options(it)) > 1


OLD_OR_NEW = version("1.0", "1.1")
RUNS = has(rb"\A[\r\n]*[^ \r\n]*(?: [^ \r\n]+)?  ")
REFUSED_FOR_RUNS = both(RUNS, lambda it: it.refusal == "EREQUEST_LINE")
BARE_FIRST = has(rb"\A(?:\r\n){0,2}(?:\r[^\n]|\n)")
FOLD = has(rb"\n[ \t]\Z|(?:transfer-encoding|content-length)[ \t]*:[ \t]*\r\n?[ \t]?\Z")
# Fields that libq5 does not take as trailers.
LATE = (
    rb"Host|Connection|Content-Length|Transfer-Encoding|Expect|Upgrade|Content-Type|Cookie|Accept"
    rb"|Accept-Encoding|Authorization|If-[a-z-]+|Range|Origin|User-Agent|Referer"
)

# --- the classes ------------------------------------------------------------------------

# name, rule, kinds, peers, the refusing side's reason, what we do, what they do, predicate
TABLE: list[tuple[str, str, tuple[Kind, ...], tuple[str, ...], str, str, str, When]] = [
    # Request lines.
    (
        "empty lines first",
        "RFC 9112, 2.2: one at least SHOULD be ignored",
        ("they accept",),
        NODE,
        "EREQUEST_LINE",
        "ignore two",
        "ignore any number",
        both(OLD_OR_NEW, has(rb"\A(?:\r\n){3}")),
    ),
    (
        "an empty line first, for h11",
        "RFC 9112, 2.2: one at least SHOULD be ignored",
        ("we accept",),
        ("h11",),
        "no request line received",
        "ignore two",
        "refuse",
        has(rb"\A(?:\r\n){1,2}[^\r\n]"),
    ),
    (
        "a bare LF or CR before the request line",
        "RFC 9112, 2.2: what may be ignored is CRLF, and a bare CR is invalid",
        ("they accept",),
        NODE,
        "EBARE_LF|EBARE_CR",
        "refuse",
        "ignore it",
        BARE_FIRST,
    ),
    (
        "runs of spaces in the request line",
        "RFC 9112, 3: one SP",
        ("they accept",),
        NODE,
        "EREQUEST_LINE",
        "refuse",
        "take them for one",
        both(no(version("0.9")), RUNS),
    ),
    (
        "HTTP/0.9",
        "RFC 9112, 2.3: the version is part of the request line",
        ("they accept",),
        NODE,
        "EREQUEST_LINE|EBARE_.*|ETARGET",
        "refuse",
        "accept",
        both(version("0.9"), no(BARE_FIRST)),
    ),
    (
        "RTSP and ICE",
        "RFC 9112, 2.3: HTTP-name is HTTP",
        ("they accept",),
        NODE,
        "EREQUEST_LINE",
        "refuse",
        "accept",
        both(no(RUNS), has(rb"\A[\r\n]*[^\r\n]* (?:RTSP|ICE|R|I)")),
    ),
    (
        "other versions",
        "RFC 9110, 2.5 and 15.6.6: MAY be refused; a higher minor one SHOULD be read as 1.1",
        ("they accept",),
        ALL,
        "EVERSION",
        "answer 505 to all but 1.0 and 1.1",
        "llhttp and httptools take 0.9 and 2.0, h11 any",
        no(version("1.0", "1.1")),
    ),
    (
        "methods that are not registered",
        "RFC 9110, 9.1: any token; an unknown one is for the application (501)",
        ("we accept",),
        NODE,
        ".*(?:Invalid method encountered|Expected space after method)",
        "accept",
        "refuse",
        lambda it: True,
    ),
    (
        "PRI",
        "RFC 9110, 9.1: any token",
        ("we accept",),
        NODE,
        ".*Expected HTTP/2 Connection Preface",
        "accept",
        "refuse",
        lambda it: it.message.method == b"PRI",
    ),
    # Targets.
    (
        "a fragment in the target",
        "RFC 9112, 3.2: no form has one",
        ("they accept",),
        ALL,
        "ETARGET|EREQUEST_LINE",
        "refuse",
        "accept",
        both(no(version("0.9")), no(REFUSED_FOR_RUNS), target(rb"[^#]*#.*")),
    ),
    (
        "an asterisk but for OPTIONS *",
        "RFC 9112, 3.2.4",
        ("they accept",),
        ALL,
        "ETARGET",
        "refuse",
        "accept",
        target(rb"\*[^#]*"),
    ),
    (
        "CONNECT without authority-form",
        "RFC 9112, 3.2.3: host and port",
        ("they accept",),
        ALL,
        "ETARGET",
        "refuse",
        "accept",
        target(rb".*", connect=True),
    ),
    (
        "absolute-form with a bad authority",
        "RFC 9110, 4.2.1 and 4.2.4: an empty host or user information is an error",
        ("they accept",),
        ALL,
        "ETARGET",
        "refuse",
        "accept",
        target(rb"(?i:https?)://[^#]*"),
    ),
    (
        "absolute-form of another scheme",
        "RFC 9112, 3.2.2: a server may refuse what it does not serve",
        ("they accept",),
        ALL,
        "ETARGET",
        "refuse",
        "accept",
        target(rb"(?!(?i:https?)://)[^/*#:]+://[^#]*"),
    ),
    (
        "a target of no form",
        "RFC 9112, 3.2",
        ("they accept",),
        ("h11",),
        "ETARGET",
        "refuse",
        "accept",
        target(rb"(?![*/]|[^/*#:]+://)[^#]*"),
    ),
    # Fields.
    (
        "no Host in HTTP/1.1",
        "RFC 9112, 3.2: MUST be answered with 400",
        ("they accept",),
        NODE,
        "EHOST",
        "refuse",
        "accept",
        hosts(lambda count: count == 0),
    ),
    (
        "Host more than once",
        "RFC 9112, 3.2: MUST be answered with 400",
        ("they accept",),
        NODE,
        "EHOST",
        "refuse",
        "accept",
        hosts(lambda count: count > 1),
    ),
    (
        "a Host that is none",
        "RFC 9112, 3.2: MUST be answered with 400; RFC 3986, 3.2",
        ("they accept",),
        ALL,
        "EHOST",
        "refuse",
        "accept",
        hosts(lambda count: count == 1),
    ),
    (
        "_ in a field's name",
        "RFC 9110, 17.10: CGI's names cannot tell it from -",
        ("they accept",),
        ALL,
        "EUNDERSCORE",
        "refuse (settable)",
        "accept",
        lambda it: any(b"_" in name for name, _ in it.message.fields),
    ),
    (
        "a bare LF as a line's end",
        "RFC 9112, 2.2: a recipient MAY take it",
        ("they accept",),
        ("h11",),
        "EBARE_LF",
        "refuse",
        "accept",
        has(rb"(?<!\r)\n"),
    ),
    (
        "obs-fold",
        "RFC 9112, 5.2: 400, or spaces in its place",
        ("they accept",),
        ("h11",),
        "EOBS_FOLD|ECODING_ORDER|ELENGTH",
        "refuse",
        "replace it by a space",
        FOLD,
    ),
    (
        "control bytes in a value",
        "RFC 9110, 5.5: CR, LF and NUL MUST be refused or replaced, others are invalid",
        ("they accept",),
        ("h11",),
        "EFIELD_VALUE",
        "refuse",
        "refuse NUL, CR, LF, VT, FF only",
        has(rb":[^\r\n]*[\x01-\x08\x0e-\x1f\x7f]\Z"),
    ),
    (
        "limits on heads",
        "RFC 9112, 3 and RFC 9110, 5.4: 414, 431",
        ("they accept",),
        ALL,
        "ELINE_LONG|EHEAD_LONG|EFIELDS",
        "8 KiB, 32 KiB, 100 fields",
        "left to who uses them",
        lambda it: len(it.data) > 800,
    ),
    (
        "expectations",
        "RFC 9110, 10.1.1: what is unknown MAY be answered with 417",
        ("they accept",),
        ALL,
        "EEXPECT",
        "refuse",
        "left to who uses them",
        lambda it: values(it, b"expect") not in ([], [b"100-continue"]),
    ),
    (
        "the spelling of a coding",
        "RFC 9112, 7: names of codings are case-insensitive",
        ("fields",),
        ("h11",),
        "",
        "as sent",
        "in lower case",
        lambda it: values(it, b"transfer-encoding") != [b"chunked"],
    ),
    # Lengths.
    (
        "Content-Length past 2^63",
        "RFC 9112, 6.3: to be refused where it cannot be represented",
        ("they accept",),
        ALL,
        "ELENGTH",
        "refuse",
        "llhttp and httptools from 2^64, h11 past 20 digits",
        big,
    ),
    (
        "Content-Length as a list",
        "RFC 9112, 6.3: invalid, or replaced where all are equal",
        ("they accept",),
        ("h11",),
        "ELENGTH",
        "refuse",
        "take equal ones for one",
        has(rb"content-length:[^\r\n]*,"),
    ),
    (
        "Content-Length twice",
        "RFC 9112, 6.3: invalid, or replaced where all are equal",
        ("they accept",),
        ("h11",),
        "ELENGTH_TWICE",
        "refuse",
        "take equal ones for one",
        lambda it: True,
    ),
    (
        "Content-Length with many zeros",
        "RFC 9110, 8.6: 1*DIGIT",
        ("we accept",),
        ("h11",),
        "bad Content-Length",
        "accept",
        "refuse past 20 digits",
        lambda it: any(len(value) > 20 for value in values(it, b"content-length")),
    ),
    (
        "a tab behind Content-Length",
        "RFC 9112, 5.1: optional white space is SP or HTAB",
        ("we accept",),
        ("llhttp",),
        ".*Invalid character in Content-Length",
        "accept",
        "refuse",
        has(rb"content-length:[^\r\n]*\d[ ]*\t"),
    ),
    # Transfer-Encoding.
    (
        "Content-Length beside Transfer-Encoding",
        "RFC 9112, 6.3: MAY be refused, and ought to be handled as an error",
        ("they accept",),
        ("h11",),
        "ELENGTH_CODING",
        "refuse",
        "drop the length",
        lambda it: True,
    ),
    (
        "Transfer-Encoding in HTTP/1.0",
        "RFC 9112, 6.1: MUST be taken for faulty framing",
        ("they accept",),
        ALL,
        "ECODING_ORDER",
        "refuse",
        "accept",
        lambda it: it.message.version == "1.0" and not (it.peer == "h11" and FOLD(it)),
    ),
    (
        "codings other than chunked",
        "RFC 9112, 6.1: SHOULD be answered with 501",
        ("they accept",),
        NODE,
        "ECODING",
        "refuse with 501",
        "accept the head; a body only where chunked is last",
        lambda it: True,
    ),
    (
        "a list of codings that is malformed",
        "RFC 9112, 6.1 and 7: chunked once, last, without parameters",
        ("they accept",),
        NODE,
        "ECODING_ORDER",
        "refuse",
        "accept the head; a body only where chunked is last",
        version("1.1"),
    ),
    (
        "white space behind chunked",
        "RFC 9112, 5.1: is no part of the value",
        ("we end", "body"),
        NODE,
        "(?:.*Request has invalid `Transfer-Encoding`)?",
        "accept",
        "refuse more than one space or a tab",
        chunks(rb"chunked(?:\t|[ \t]{2,})[ \t]*\r\n"),
    ),
    # Chunks.
    (
        "white space behind a chunk's size",
        "RFC 9112, 7.1.1: none, but before a semicolon; RFC 9110, 5.6.3 asks to take that",
        ("they end",),
        ("h11",),
        "ECHUNK_SIZE",
        "refuse",
        "accept",
        chunks(rb"\n[0-9a-f]+[ \t]\Z"),
    ),
    (
        "more than 16 digits in a chunk's size",
        "RFC 9112, 7.1: large sizes MUST not overflow; zeros before one are allowed",
        ("they end",),
        ALL,
        "ECHUNK_SIZE",
        "refuse",
        "accept zeros; h11 up to 20 digits",
        chunks(rb"\n[0-9a-f]{17}\Z"),
    ),
    (
        "bytes of a chunk's extension that are no token",
        "RFC 9112, 7.1.1: unrecognized extensions MUST be ignored",
        ("we end",),
        NODE,
        ".*Invalid character in chunk extensions.*",
        "skip all but control bytes",
        "parse them, without the white space that is allowed",
        chunks(rb"\n[0-9a-f]+;[^\r\n]+\r\n"),
    ),
    (
        "control bytes in a chunk's extension",
        "RFC 9112, 7.1.1: tokens and quoted strings",
        ("they end",),
        ("h11",),
        "ECHUNK_EXT|EBARE_CR",
        "refuse",
        "accept all but LF",
        chunks(rb"\n[0-9a-f]+;[^\n]*(?:[\0-\x08\x0b\x0c\x0e-\x1f\x7f]|\r[^\n])\Z"),
    ),
    (
        "a long chunk extension",
        "RFC 9112, 7.1.1: a server ought to limit them",
        ("they end",),
        ALL,
        "ECHUNK_EXT",
        "refuse past 256 bytes",
        "accept",
        chunks(rb"\n[0-9a-f]+;[^\r\n]{257}\Z"),
    ),
    (
        "an extension without a name",
        "RFC 9112, 7.1.1: a token behind the semicolon",
        ("they end",),
        ("h11",),
        "ECHUNK_EXT",
        "refuse",
        "accept",
        chunks(rb"\n[0-9a-f]+;[ \t]*\r\Z"),
    ),
    (
        "a bare LF behind chunks",
        "RFC 9112, 7.1: CRLF",
        ("they end",),
        ("h11",),
        "EBARE_LF",
        "refuse",
        "accept",
        chunks(rb"(?<!\r)\n"),
    ),
    # Trailers.
    (
        "trailers that may not come late",
        "RFC 9110, 6.5.1: framing, routing, authentication",
        ("they end",),
        ALL,
        "ETRAILER",
        "refuse",
        "accept",
        chunks(rb"\n(?:" + LATE + rb"):\Z"),
    ),
    (
        "obs-fold in trailers",
        "RFC 9112, 5.2",
        ("they end",),
        ("h11",),
        "ETRAILER",
        "refuse",
        "replace it by a space",
        chunks(rb"\n[ \t]\Z"),
    ),
    (
        "control bytes in a trailer's value",
        "RFC 9110, 5.5: CR, LF and NUL MUST be refused or replaced, others are invalid",
        ("they end",),
        ("h11",),
        "ETRAILER",
        "refuse",
        "refuse NUL, CR, LF, VT, FF only",
        chunks(rb"\n[^\r\n:]+:[^\r\n]*[\x01-\x08\x0e-\x1f\x7f]\Z"),
    ),
    # The connection.
    (
        "Proxy-Connection",
        "RFC 9112, C.2.2: not a field of HTTP",
        ("persists",),
        NODE,
        "",
        "ignore it",
        "obey it",
        proxied,
    ),
    (
        "close beside other options",
        "RFC 9112, 9.3: close, wherever it stands, ends the connection",
        ("persists",),
        NODE,
        "",
        "close",
        "obey keep-alive before it, or miss it",
        close_beside_others,
    ),
    (
        "white space behind a connection option",
        "RFC 9112, 5.1: is no part of the value",
        ("persists",),
        ("llhttp",),
        "",
        "obey the option",
        "miss it",
        both(
            no(close_beside_others),
            no(proxied),
            has(rb"\nconnection:[^\r\n]*(?:close|keep-alive)[ \t]+\r\n"),
        ),
    ),
    (
        "keep-alive in HTTP/1.0",
        "RFC 9112, 9.3: MAY persist when asked",
        ("persists",),
        ("h11",),
        "",
        "keep",
        "close",
        lambda it: it.message.version == "1.0" and b"keep-alive" in options(it),
    ),
    (
        "a request to upgrade",
        "RFC 9110, 7.8: a server MAY ignore it",
        ("body", "they end"),
        ("httptools",),
        ".*",
        "ignore it: the body is a body",
        "hand over all that is behind the head",
        upgraded,
    ),
    (
        "a body of CONNECT",
        "RFC 9110, 9.3.6: has no meaning; framed all the same (RFC 9112, 6.3)",
        ("body", "they end"),
        NODE,
        ".*",
        "read it",
        "take the tunnel's bytes to begin behind the head",
        tunnelled,
    ),
]

CLASSES = [Class(*row) for row in TABLE]


def table() -> str:
    """In Markdown."""
    lines = ["| difference | rule | libq5 | others | which |", "|---|---|---|---|---|"]
    lines += [
        f"| {it.name} | {it.rule} | {it.ours} | {it.theirs} | {', '.join(it.peers)} |"
        for it in CLASSES
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table(), end="")
