from __future__ import annotations

from typing import Any

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
