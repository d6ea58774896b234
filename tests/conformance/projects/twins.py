"""Two servers of one project, asked the same: Quintette's and Django's own."""

from __future__ import annotations

import difflib
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx
from answers import Answer, Rules, answer_of, length_fault
from served import RUNSERVER, SERVE, Server

ASK_SECONDS = 30
DIFF_LINES_MAX = 60


@dataclass
class Twin:
    server: Server
    rules: Rules


class Twins:
    """Both, each with a copy of the project and so with a database of its own."""

    def __init__(self, ours: Twin, django: Twin) -> None:
        self.ours = ours
        self.django = django
        self._browsers: list[Browser] = []

    def browser(self, **headers: str) -> Browser:
        """A new one, without cookies. `headers` go with each of its requests."""
        browser = Browser(self, headers)
        self._browsers.append(browser)
        return browser

    def ours_alone(self) -> httpx.Client:
        """A client of our server, for what Django's does not do."""
        return httpx.Client(base_url=self.ours.server.url, timeout=ASK_SECONDS)

    def close(self) -> None:
        for browser in self._browsers:
            browser.close()


@contextmanager
def twins(
    project: Path, rules: Iterable[tuple[str, str]] = (), *, settings: str | None = None
) -> Iterator[Twins]:
    """Serves the prepared project twice. `rules` are (pattern, replacement) for what differs from
    copy to copy, in headers and texts; `settings`, a module other than the one in manage.py."""
    found = []
    try:
        for name, command in (("quintette", SERVE), ("django", RUNSERVER)):
            copy = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=project.parent)) / project.name
            shutil.copytree(project, copy)
            own = [(re.escape(str(copy)), "PROJECT"), *rules]
            compiled = [(re.compile(pattern), to) for pattern, to in own]
            found.append(Twin(Server(copy, *command, settings=settings), compiled))
        for twin in found:
            twin.server.wait()
        both = Twins(*found)
        yield both
        both.close()
    finally:
        for twin in found:
            twin.server.stop()


class Browser:
    """Asks both servers, each with its own cookies, and asserts that the answers are equal."""

    def __init__(self, both: Twins, headers: dict[str, str]) -> None:
        pair = (both.ours, both.django)
        self._rules = [twin.rules for twin in pair]
        # Keep-alive is on: requests share connections, as a browser's do.
        self._clients = [
            httpx.Client(base_url=twin.server.url, headers=headers, timeout=ASK_SECONDS)
            for twin in pair
        ]
        self._tokens: list[str | None] = [None, None]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    def close(self) -> None:
        for client in self._clients:
            client.close()

    def get(self, path: str, **more: Any) -> Answer:
        return self.ask("GET", path, **more)

    def post(self, path: str, **more: Any) -> Answer:
        return self.ask("POST", path, **more)

    def ask(self, method: str, path: str, **more: Any) -> Answer:
        """One request, as httpx.Client.request() takes it; redirects are not followed."""
        return self._ask(method, path, [more, more])

    def target(self, target: str) -> Answer:
        """GET of exactly this target: nothing is encoded, no dots are taken out."""
        return self.ask("GET", "/", extensions={"target": target.encode()})

    def statuses(self, target: str) -> list[int]:
        """GET of exactly this target, where the bodies are about the server itself: tracebacks,
        or what a server says when the application fails."""
        extensions = {"target": target.encode()}
        return [client.get("/", extensions=extensions).status_code for client in self._clients]

    def follow(self, answer: Answer) -> Answer:
        """A redirect's target."""
        assert answer.status in {301, 302, 303, 307, 308}, answer
        return self.get(answer["location"].removeprefix("http://HOST"))

    def submit(self, path: str, data: dict[str, Any] | None = None, *, files: Any = None) -> Answer:
        """A form of the page that was asked for last: posted with that page's CSRF token, and with
        the Origin and Referer that a browser sends."""
        arguments = []
        for client, token in zip(self._clients, self._tokens, strict=True):
            assert token, "no page with a form was asked for yet"
            origin = str(client.base_url).rstrip("/")
            headers = {"Origin": origin, "Referer": f"{origin}{path}"}
            fields = {"csrfmiddlewaretoken": token, **(data or {})}
            arguments.append({"data": fields, "files": files, "headers": headers})
        return self._ask("POST", path, arguments)

    def script(self, method: str, path: str, **more: Any) -> Answer:
        """As a page's JavaScript asks: the CSRF token goes from the cookie into a header."""
        arguments = []
        for client in self._clients:
            headers = {"X-CSRFToken": client.cookies["csrftoken"], **more.get("headers", {})}
            arguments.append({**more, "headers": headers})
        return self._ask(method, path, arguments)

    def _ask(self, method: str, path: str, arguments: list[dict[str, Any]]) -> Answer:
        answers = []
        for client, rules, more in zip(self._clients, self._rules, arguments, strict=True):
            response = client.request(method, path, follow_redirects=False, **more)
            fault = length_fault(response)
            assert fault is None, f"{method} {response.url}: {fault}"
            answers.append(answer_of(response, rules))
        ours, django = answers
        assert ours == django, f"{method} {path}\n{difference(ours, django)}"
        if ours.form_token:
            self._tokens = [answer.form_token for answer in answers]
        return ours

    def cookie(self, name: str) -> str | None:
        """Of our server."""
        return self._clients[0].cookies.get(name)


def difference(ours: Answer, django: Answer) -> str:
    """A readable one, Quintette's lines with a plus."""
    lines = difflib.unified_diff(_lines(django), _lines(ours), "django", "quintette", "", "", 1, "")
    shown = list(lines)
    more = [f"... {len(shown) - DIFF_LINES_MAX} lines more"] if len(shown) > DIFF_LINES_MAX else []
    return "\n".join(shown[:DIFF_LINES_MAX] + more)


def _lines(answer: Answer) -> list[str]:
    head = [str(answer.status), *(f"{name}: {value}" for name, value in answer.headers), ""]
    try:
        return head + answer.text.splitlines()
    except UnicodeDecodeError:
        return [*head, f"{len(answer.body)} bytes, {hash(answer.body)}"]
