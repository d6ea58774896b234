"""manage.py apikey create|revoke|list"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from quintette.apikeys.models import APIKey


class Command(BaseCommand):
    help = "Creates, revokes and lists API keys."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        create = verbs.add_parser("create", help="print a new key, which is not stored")
        create.add_argument("name", help="who holds it, and what for")
        create.add_argument("--user", help="the name of the user whom its requests are taken for")
        create.add_argument("--scope", action="append", default=[], help="may be repeated")
        create.add_argument("--days", type=int, help="days until it expires; without: never")
        revoke = verbs.add_parser("revoke", help="by its prefix")
        revoke.add_argument("prefix")
        verbs.add_parser("list", help="all keys, the newest first")

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        getattr(self, f"_{verb}")(**options)

    def _create(
        self, name: str, user: str | None, scope: list[str], days: int | None, **options: Any
    ) -> None:
        if days is not None and days < 1:
            raise CommandError("--days is 1 at least")
        try:
            _, text = APIKey.objects.create_key(
                name,
                user=_find_user(user) if user else None,
                scopes=scope,
                expires_at=timezone.now() + timedelta(days=days) if days else None,
            )
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from error
        self.stdout.write(text)

    def _revoke(self, prefix: str, **options: Any) -> None:
        try:
            key = APIKey.objects.get(prefix=prefix)
        except APIKey.DoesNotExist:
            raise CommandError(f"no key has the prefix {prefix}") from None
        key.revoke()
        self.stdout.write(f"Revoked: {key}")

    def _list(self, **options: Any) -> None:
        now = timezone.now()
        for key in APIKey.objects.select_related("user"):
            state = "revoked" if key.revoked_at else "good" if key.is_good(now) else "expired"
            used = f"used {key.last_used_at:%Y-%m-%d %H:%M}" if key.last_used_at else "never used"
            who = key.user.get_username() if key.user else "-"
            self.stdout.write("  ".join([key.prefix, state, used, who, key.name, key.scopes]))


def _find_user(name: str) -> Any:
    model: Any = get_user_model()
    try:
        return model._default_manager.get_by_natural_key(name)
    except model.DoesNotExist:
        raise CommandError(f"there is no user {name!r}") from None
