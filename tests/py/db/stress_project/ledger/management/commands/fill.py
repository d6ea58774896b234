"""``manage.py fill USERS ACCOUNTS BALANCE``: prints user -> session key as JSON."""

import json
from argparse import ArgumentParser
from typing import Any

from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.core.management.base import BaseCommand

from ledger.models import Account

BACKEND = "django.contrib.auth.backends.ModelBackend"


class Command(BaseCommand):
    def add_arguments(self, parser: ArgumentParser) -> None:
        for name in ("users", "accounts", "balance"):
            parser.add_argument(name, type=int)

    def handle(self, *, users: int, accounts: int, balance: int, **options: Any) -> None:
        Account.objects.bulk_create([Account(balance=balance) for _ in range(accounts)])
        names = [f"user{number:05}" for number in range(users)]
        created = User.objects.bulk_create([User(username=name, password="!") for name in names])
        sessions = [_session(user) for user in created]
        Session.objects.bulk_create(sessions)
        keys = [session.session_key for session in sessions]
        self.stdout.write(json.dumps(dict(zip(names, keys, strict=True))))


def _session(user: User) -> Session:
    store = SessionStore()
    store[SESSION_KEY] = str(user.pk)
    store[BACKEND_SESSION_KEY] = BACKEND
    store[HASH_SESSION_KEY] = user.get_session_auth_hash()
    store._session_key = store._get_new_session_key()  # type: ignore[attr-defined]
    return store.create_model_instance(dict(store.items()))
