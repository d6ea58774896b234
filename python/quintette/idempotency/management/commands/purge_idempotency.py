"""``manage.py purge_idempotency``: deletes what has expired."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from quintette.idempotency.stores import purge


class Command(BaseCommand):
    help = "Deletes records of idempotency keys that have expired."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"{purge()} records deleted")
