"""An answer without what may differ between two servers of one project, or two runs of one."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import httpx

# Server and Date say who answers and when; the rest is how a message is framed and for how long
# the connection is kept (RFC 9110, 7.6.1 and 8.6), which is each server's own business. With DEBUG
# ours says in Server-Timing what a request's queries took (docs/queries.md), and always in
# X-Request-ID which one it was (docs/observability.md).
OWN_HEADERS = {
    "connection",
    "content-length",
    "date",
    "keep-alive",
    "server",
    "server-timing",
    "transfer-encoding",
    "x-request-id",
}

# In a form, or, as Wagtail has it, in the settings of the page's scripts.
TOKEN = re.compile(r'(?:csrfmiddlewaretoken" value=|"CSRF_TOKEN": )"(\w{64})"')

Rules = list[tuple[re.Pattern[str], str]]

# A rule for each value that is drawn at random or tells the time.
RULES: Rules = [
    (re.compile(r"(csrfmiddlewaretoken\W{1,3}value=\W{1,2})\w{64}"), r"\1CSRF"),
    (re.compile(r"(csrf_?token\W{1,8})\w{64}", re.IGNORECASE), r"\1CSRF"),
    (re.compile(r"(csrftoken=)\w{32}"), r"\1CSRF"),
    (re.compile(r"(sessionid=)\w{32}"), r"\1SESSION"),
    # Of messages kept in a cookie: when they were signed, and the signature.
    (re.compile(r"(messages=[^:;]+):\w+:[\w-]+"), r"\1:SIGNED"),
    # Wagtail names its log's entries by whichever log model a set gives first.
    (re.compile(r"(\d+ )(?:page|model)( log entries)"), r"\1LOGGED\2"),
    (re.compile(r"(expires=)\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT"), r"\1DATE"),
]


@dataclass
class Answer:
    """Of one server."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    request: str
    form_token: str | None = field(compare=False, default=None)
    """The page's CSRF token, as it was sent."""

    @property
    def text(self) -> str:
        return self.body.decode()

    def __getitem__(self, name: str) -> str:
        """The field of that name."""
        [value] = [value for other, value in self.headers if other == name.lower()]
        return value

    def __contains__(self, name: str) -> bool:
        return any(other == name.lower() for other, _value in self.headers)


def answer_of(response: httpx.Response, more_rules: Rules) -> Answer:
    """What the client got, normalised. Bodies that are no text stay as they are."""
    host = response.url.netloc.decode()
    rules = [*RULES, *more_rules]

    def plain(text: str) -> str:
        text = text.replace(host, "HOST")
        for pattern, replacement in rules:
            text = pattern.sub(replacement, text)
        return text

    # A file of the site has the same time in both copies, one that the test has sent has not.
    dated = (
        {"expires"} if response.url.path.startswith("/static/") else {"expires", "last-modified"}
    )
    headers = [
        (name.lower(), "DATE" if name.lower() in dated else plain(value))
        for name, value in response.headers.multi_items()
        if name.lower() not in OWN_HEADERS
    ]
    body = response.content
    token = None
    if _is_text(response):
        found = TOKEN.search(response.text)
        token = found[1] if found else None
        body = plain(response.text).encode()
    request = f"{response.request.method} {response.request.url.raw_path.decode()}"
    # Sorted, but the order among fields of one name counts (RFC 9110, 5.3), and sorting keeps it.
    headers.sort(key=lambda pair: pair[0])
    if body != response.content:
        headers = [(name, "TAG" if name == "etag" else value) for name, value in headers]
    return Answer(response.status_code, headers, body, request, token)


def length_fault(response: httpx.Response) -> str | None:
    """What is wrong with the message's length, if it has one."""
    declared = response.headers.get("content-length")
    if declared is None or response.request.method == "HEAD" or response.status_code == 304:
        return None
    got = response.num_bytes_downloaded
    return None if int(declared) == got else f"Content-Length is {declared}, {got} bytes came"


def _is_text(response: httpx.Response) -> bool:
    kind = response.headers.get("content-type", "").partition(";")[0]
    return kind.startswith("text/") or kind in {"application/json", "application/javascript"}
