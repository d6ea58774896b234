from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError

NAME, PASSWORD = "admin", "atlas"


class Command(BaseCommand):
    help = f"Creates the superuser {NAME} with the password {PASSWORD}, if DEBUG is on."

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEBUG:
            raise CommandError("A known password is only for DEBUG = True.")
        users = get_user_model()._default_manager
        if not users.filter(username=NAME).exists():
            users.create_superuser(NAME, password=PASSWORD)
