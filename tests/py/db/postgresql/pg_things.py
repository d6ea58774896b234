from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import psycopg
from django.db import connections, models


class Thing(models.Model):
    name = models.TextField(unique=True)
    n = models.IntegerField(null=True)

    class Meta:
        app_label = "quintette_pg_tests"
        db_table = "thing"


Things: Any = Thing.objects.using("pg")


def sql(statement: str, *params: Any) -> list[Any]:
    """The rows that it gives."""
    with connections["pg"].cursor() as cursor:
        cursor.execute(statement, params)
        return cursor.fetchall() if cursor.description else []


def backend_pid() -> int:
    return sql("SELECT pg_backend_pid()")[0][0]


def names() -> set[str]:
    return set(Things.values_list("name", flat=True))


async def until(condition: Callable[[], Any]) -> Any:
    """Looks again and again; the test's own time limit ends it."""
    while not (result := condition()):  # noqa: ASYNC110
        await asyncio.sleep(0.005)
    return result


async def until_locks_are_waited_for(beside: psycopg.Connection[Any], count: int) -> None:
    """Until so many back ends of this database wait for advisory locks, all at once."""
    query = (
        "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database "
        "WHERE datname = current_database() AND locktype = 'advisory' AND NOT granted"
    )
    await until(lambda: beside.execute(query).fetchone() == (count,))
