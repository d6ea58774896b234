from __future__ import annotations

from typing import Any

from django.db import connections, models

# Sums up to a number that takes SQLite some hundred milliseconds.
LONG_SQL = """
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1000000)
    SELECT sum(i) FROM n
"""
LONG_SUM = 500_000_500_000


class Thing(models.Model):
    name = models.TextField(unique=True)
    n = models.IntegerField(null=True)

    class Meta:
        app_label = "quintette_sqlite_tests"
        db_table = "thing"


Things: Any = Thing.objects.using("sq")


def sql(statement: str, *params: Any) -> list[Any]:
    """The rows that it gives."""
    with connections["sq"].cursor() as cursor:
        cursor.execute(statement, params or None)
        return cursor.fetchall() if cursor.description else []


def names() -> set[str]:
    return set(Things.values_list("name", flat=True))
