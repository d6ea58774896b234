"""``manage.py explain``."""

from __future__ import annotations

import asyncio
import json
from argparse import ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import msgspec
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.core.signals import request_finished, request_started
from django.db import DatabaseError, close_old_connections, connections, transaction
from django.test.utils import override_settings

from quintette import _quintette, concurrency
from quintette.concurrency import engines, patches
from quintette.db import pool
from quintette.db.compiled import CompiledQuery
from quintette.db.watch import endpoints, plans, record, slow
from quintette.db.watch.record import Query, Record

_HELP = """\
Runs a request, or a compiled query, and prints each query that it makes: the time, the line of
code, the SQL with its parameters, the database's plan, what is asked twice or in a loop, and where
an index seems to be missing. It runs in transactions that are rolled back at the end.

  manage.py explain "/api/cities?country=PK"
  manage.py explain "POST /api/cities" --json '{"name": "Lahore"}' --user admin
  manage.py explain city-detail --arg pk=7
  manage.py explain shop.api.list_cities --arg country=PK
  manage.py explain shop.queries.by_country --arg country=PK

Outside of these transactions, and not undone: what the endpoint does elsewhere (mail, caches,
files), and numbers that sequences have given out.
"""


class Command(BaseCommand):
    help = _HELP

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        parser.formatter_class = RawDescriptionHelpFormatter
        return parser

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "endpoint",
            metavar="ENDPOINT",
            help='"METHOD /path?query" (GET may be left out), the name of a URL, the dotted name of'
            " a view or handler, or that of a compiled query",
        )
        parser.add_argument(
            "--arg",
            action="append",
            default=[],
            type=_pair,
            metavar="NAME=VALUE",
            help="with a name: a part of the path, else of the query string; a compiled query's"
            " parameter, as JSON where it is no text",
        )
        parser.add_argument("--method", default="", help="with a name: GET, POST, ...")
        parser.add_argument("--json", metavar="TEXT", help="the request's body")
        parser.add_argument(
            "--header",
            action="append",
            default=[],
            type=_pair,
            metavar="NAME=VALUE",
            help="a field of the request's head",
        )
        parser.add_argument("--user", metavar="USERNAME", help="log this user in, by a session")
        parser.add_argument("--no-plans", action="store_true", help="leave the plans out")

    def handle(self, *args: Any, **options: Any) -> None:
        body = _parsed(options["json"], "--json") if options["json"] is not None else None
        try:
            found = endpoints.find(options["endpoint"], options["method"], dict(options["arg"]))
        except endpoints.NotFoundError as error:
            raise CommandError(str(error)) from error
        if engines.all_wait():
            _on_loop(self._run, found, options, body)
        else:
            self._run(found, options, body)

    # --- running it ---------------------------------------------------------------------

    def _run(self, found: Any, options: dict[str, Any], body: Any) -> None:
        with ExitStack() as stack:
            for alias in _databases():
                stack.enter_context(_undone(alias))
            # As Django's own test client: a connection that a request closes has lost its
            # transaction, and would write for good.
            for signal in (request_started, request_finished):
                signal.disconnect(close_old_connections)
                stack.callback(signal.connect, close_old_connections)
            # The host that the test client names, as in Django's own tests.
            hosts = [*settings.ALLOWED_HOSTS, "testserver"]
            stack.enter_context(override_settings(ALLOWED_HOSTS=hosts))
            if isinstance(found, CompiledQuery):
                seen, outcome = self._call(found, dict(options["arg"]))
            else:
                seen, outcome = self._request(found, options, body)
        # Outside: PostgreSQL plans nothing in a transaction in which a statement has failed.
        self._show(seen, outcome, with_plans=not options["no_plans"])

    def _call(self, query: CompiledQuery[Any, Any], args: dict[str, str]) -> tuple[Record, str]:
        values = {name: endpoints.value_for(query, name, text) for name, text in args.items()}
        try:
            pending = query(**values)
        except (TypeError, msgspec.ValidationError) as error:
            raise CommandError(f"{query!r}: {error}") from error
        with record.recorded(repr(query)) as seen:
            try:
                pending.get()
            except Exception as error:
                return seen, f"{type(error).__name__}: {error}"
        return seen, ""

    def _request(
        self, target: endpoints.Target, options: dict[str, Any], body: Any
    ) -> tuple[Record, str]:
        from quintette.testing import TestClient

        headers, cookies = dict(options["header"]), {}
        if options["user"]:
            try:
                cookies = endpoints.session_of(options["user"])
            except endpoints.NotFoundError as error:
                raise CommandError(str(error)) from error
        more = {"json": body} if body is not None else {}
        with record.recorded(f"{target.method} {target.path}") as seen:
            client = TestClient(raise_errors=False)
            # What is done once, not per request, has been done.
            seen.forget()
            response = client.request(
                target.method, target.path, headers=headers, cookies=cookies, **more
            )
        return seen, str(response.status_code)

    # --- printing -----------------------------------------------------------------------

    def _show(self, seen: Record, outcome: str, *, with_plans: bool) -> None:
        arrow = f" -> {outcome}" if outcome else ""
        self.stdout.write(
            self.style.MIGRATE_HEADING(
                f"{seen.name}{arrow}: {seen.summary()}, {seen.ms:.1f} ms in all"
            )
        )
        shown: dict[str, int] = {}
        asked: dict[str, int] = {}
        for number, query in enumerate(seen.queries, 1):
            self._show_query(number, query, shown, asked, with_plans)
        if seen.count > len(seen.queries):
            self.stdout.write(f"\n... and {seen.count - len(seen.queries)} more")
        for repeated in seen.in_loops():
            advice = repeated.fix.advice if repeated.fix else "ask once, before the loop"
            self.stdout.write(
                self.style.WARNING(
                    f"\n{repeated.count} times the same query from {repeated.line}: {advice}"
                )
            )

    def _show_query(
        self,
        number: int,
        query: Query,
        shown: dict[str, int],
        asked: dict[str, int],
        with_plans: bool,
    ) -> None:
        kind = ", compiled" if query.compiled else ""
        failed = ", failed" if query.failed else ""
        self.stdout.write(
            f"\n{number}. {query.ms:.2f} ms{kind}{failed}, {query.line or 'no line of the project'}"
        )
        same = asked.setdefault(f"{query.sql}{query.params!r}", number)
        first = shown.setdefault(query.sql, number)
        if first != number:
            how = "the same query" if same != number else "the same SQL"
            self.stdout.write(
                self.style.WARNING(f"   {how} as {same if same != number else first}")
            )
        else:
            self.stdout.write(_indented(query.sql))
        if query.params:
            self.stdout.write(f"   parameters: {slow.parameters(query.params, values=True)}")
        if with_plans and first == number:
            self._show_plan(query)

    def _show_plan(self, query: Query) -> None:
        plan = plans.explain(connections[query.alias], query.sql, query.params)
        if plan is None:
            return
        self.stdout.write("   plan:\n" + _indented("\n".join(plan.lines), "     "))
        for hint in plan.hints:
            self.stdout.write(self.style.WARNING(f"   hint: {hint}"))


def _on_loop(function: Callable[..., None], *args: Any) -> None:
    """In a greenlet: tasks of the endpoint then take part in the transactions that are open here,
    be they in `async with transaction.atomic()` or not."""

    async def run() -> None:
        try:
            await concurrency.run(function, *args)
        finally:
            await pool.drain()

    patches.install()
    poller = _quintette.Poller()
    loop = asyncio.SelectorEventLoop(poller)
    poller.bind_loop(loop)
    try:
        loop.run_until_complete(run())
    finally:
        loop.close()


@contextmanager
def _undone(alias: str) -> Iterator[None]:
    """What is done there is rolled back. A durable block of the endpoint's is let in."""
    block: Any = transaction.atomic(using=alias)
    block._from_testcase = True  # as Django's own test cases say it
    with block:
        yield
        transaction.set_rollback(True, using=alias)


def _databases() -> list[str]:
    """Those that can be reached."""
    found = []
    for alias in connections:
        connection = connections[alias]
        if connection.settings_dict["ENGINE"] == "django.db.backends.dummy":
            continue
        try:
            connection.ensure_connection()
        except DatabaseError as error:
            raise CommandError(f"No connection to the database {alias!r}: {error}") from error
        found.append(alias)
    return found


def _indented(text: str, by: str = "   ") -> str:
    return "\n".join(by + line for line in text.splitlines())


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def _parsed(text: str, option: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise CommandError(f"{option}: {error}") from error
