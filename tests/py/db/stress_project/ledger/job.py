"""What a request is to do, and what it sees while it does so."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.db.models import Func, QuerySet, TextField, Value
from django.http import HttpRequest
from django.utils import timezone, translation

from ledger import middleware
from ledger.models import Account, Entry

SETTING = "stress.marker"
FIRST_ACCOUNT = 1
READS = 5
# Of PostgreSQL, then of asyncio; far less than what is waited for.
STATEMENT_TIMEOUT = "30"
TIMEOUT_SECONDS = 0.03
LONG_SECONDS = 5


class PlannedError(Exception):
    pass


@dataclass
class Job:
    kind: str
    marker: str
    source: int
    target: int
    amount: int
    pause: float
    seen: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def of(cls, request: HttpRequest) -> Job:
        get = request.GET
        source, target, amount = (int(get[name]) for name in ("source", "target", "amount"))
        return cls(get["kind"], get["marker"], source, target, amount, float(get["pause"]))

    def look(self, user: Any, **more: Any) -> None:
        self.seen.append(
            {
                "marker": middleware.marker.get(),
                "language": translation.get_language(),
                "zone": timezone.get_current_timezone_name(),
                "user": user.get_username(),
                **more,
            }
        )

    # Rows and expressions that both kinds of views use.

    def accounts(self) -> QuerySet[Account]:
        both = Account.objects.filter(pk__in=[self.source, self.target])
        return both.select_for_update().order_by("pk")

    def move(self, accounts: dict[int, Account]) -> list[Entry]:
        """A lost update would show: the balance is read, changed, and written."""
        accounts[self.source].balance -= self.amount
        accounts[self.target].balance += self.amount
        return [
            Entry(account_id=self.source, amount=-self.amount, marker=self.marker),
            Entry(account_id=self.target, amount=self.amount, marker=self.marker),
        ]

    def stamp(self) -> QuerySet[Any, Any]:
        """For the rest of the transaction."""
        return ask(call("set_config", SETTING, self.marker, True))

    def echo(self, number: int) -> QuerySet[Any, Any]:
        return ask(Value(f"{self.marker}:{number}"), call("pg_sleep", self.pause / READS))


def call(function: str, *values: Any) -> Func:
    arguments = [
        value if hasattr(value, "resolve_expression") else Value(value) for value in values
    ]
    return Func(*arguments, function=function, output_field=TextField())


def ask(*expressions: Any) -> QuerySet[Any, Any]:
    """Exactly one row, of what these expressions give."""
    return Account.objects.filter(pk=FIRST_ACCOUNT).values_list(*expressions)


def stamped() -> QuerySet[Any, Any]:
    return ask(call("current_setting", SETTING, True), call("pg_backend_pid"))


def pause(seconds: float) -> QuerySet[Any, Any]:
    return ask(call("pg_sleep", seconds))


def own_end() -> QuerySet[Any, Any]:
    """As if the server's process had been killed."""
    return ask(call("pg_terminate_backend", call("pg_backend_pid")))


def statement_timeout() -> QuerySet[Any, Any]:
    return ask(call("set_config", "statement_timeout", STATEMENT_TIMEOUT, True))
