"""``manage.py routes``."""

from __future__ import annotations

import json
import shutil
from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from django.core.management.base import BaseCommand, CommandError

from quintette.overview.routes import Routes, Row

_HEAD = ("METHODS", "PATH", "NAME", "HANDLER", "RUNS", "IN C", "GUARDS")


def _routes(count: int) -> str:
    return "1 route" if count == 1 else f"{count} routes"


class Command(BaseCommand):
    help = (
        "Lists the routes of the project in the order in which they are matched: who answers, "
        "where it runs under `serve`, and whether that is without Django's handler."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "filter",
            nargs="?",
            default="",
            help="only routes whose path, name or handler has this in it",
        )
        parser.add_argument("--json", action="store_true", help="one JSON document")
        parser.add_argument(
            "--match", metavar='["METHOD ]PATH"', help='who answers it: "/cities/5", "POST /cities"'
        )

    def handle(self, *args: Any, **options: Any) -> None:
        routes = Routes()
        rows = self._matching(routes, options["match"]) if options["match"] else routes.rows
        text = options["filter"].lower()
        rows = [row for row in rows if text in f"{row.path} {row.name} {row.handler.name}".lower()]
        if options["json"]:
            self.stdout.write(json.dumps([row.as_json() for row in rows], indent=2))
        else:
            self._table(rows)

    def _matching(self, routes: Routes, match: str) -> list[Row]:
        method, space, target = match.partition(" ")
        if not space:
            method, target = "GET", match
        path = urlsplit(target).path
        if not path.startswith("/"):
            raise CommandError(f"{target!r} is no path: it begins with a slash")
        answer = routes.answering(path, method.upper())
        if not answer.rows:
            raise CommandError(f"{method.upper()} {path}: {answer.reason}")
        return answer.rows

    def _table(self, rows: Sequence[Row]) -> None:
        cells = [_HEAD, *(_cells(row) for row in rows)]
        widths = [max(len(line[column]) for line in cells) for column in range(len(_HEAD))]
        if not any(row.guards for row in rows):
            widths[-1] = 0
        room = shutil.get_terminal_size((200, 24)).columns if self.stdout.isatty() else 0
        for number, line in enumerate(cells):
            columns = zip(line, widths, strict=True)
            text = "  ".join(cell.ljust(width) for cell, width in columns if width).rstrip()
            text = text[:room] if room else text
            self.stdout.write(self.style.MIGRATE_HEADING(text) if number == 0 else text)
        typed = [row for row in rows if row.kind == "typed"]
        in_c = sum(row.in_c for row in typed)
        self.stdout.write(f"{_routes(len(rows))}, {len(typed)} typed, {in_c} of them in C")


def _cells(row: Row) -> tuple[str, ...]:
    return (
        ",".join(row.methods) or "*",
        row.path,
        row.name,
        f"{row.handler.name} {row.handler.place}".strip(),
        row.runs,
        row.native,
        ",".join(row.guards),
    )
