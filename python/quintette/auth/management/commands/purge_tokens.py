"""``manage.py purge_tokens``: to be run daily."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from quintette.auth.tokens import purge


class Command(BaseCommand):
    help = "Delete logins, refresh tokens and revocations that have expired."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"{purge()} rows deleted")
