"""Django's admin of API keys, in a project of its own: the tests' has no admin."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROJECT = """
import hashlib
import sys

import django
from django.conf import settings

settings.configure(
    ALLOWED_HOSTS=["testserver"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": sys.argv[1]}},
    INSTALLED_APPS=[
        "quintette", "quintette.apikeys", "django.contrib.admin", "django.contrib.auth",
        "django.contrib.contenttypes", "django.contrib.messages", "django.contrib.sessions",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    ROOT_URLCONF="__main__",
    SECRET_KEY="for tests",
    STATIC_URL="/static/",
    TEMPLATES=[{
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": [
            "django.template.context_processors.request",
            "django.contrib.auth.context_processors.auth",
            "django.contrib.messages.context_processors.messages",
        ]},
    }],
)
django.setup()

from django.contrib import admin
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.urls import path
from quintette.apikeys.models import APIKey

urlpatterns = [path("admin/", admin.site.urls)]
call_command("check")
call_command("makemigrations", check=True, dry_run=True, verbosity=0)
call_command("migrate", verbosity=0)
client = Client()
client.force_login(User.objects.create_superuser("root"))
pages = "/admin/quintette_apikeys/apikey/"
form = {"name": "cron", "user": "", "scopes": "read", "expires_at_0": "", "expires_at_1": ""}
shown = client.post(f"{pages}add/", form, follow=True).content.decode()
text = shown[shown.index("q5_"):][:59]
key = APIKey.objects.get()
assert hashlib.sha256(text.encode()).hexdigest() == key.digest
for page in (pages, f"{pages}{key.pk}/change/"):
    again = client.get(page).content.decode()
    assert key.prefix in again
    assert text[16:] not in again
    assert key.digest not in again
client.post(f"{pages}{key.pk}/change/", form | {"name": "cron 2"})
assert APIKey.objects.get().digest == key.digest
wrong = client.post(f"{pages}add/", form | {"scopes": 'a"b'})
assert wrong.status_code == 200 and APIKey.objects.count() == 1
client.post(pages, {"action": "revoke", "_selected_action": [key.pk]})
assert APIKey.objects.get().revoked_at is not None
"""


def test_the_admin_shows_a_key_once(tmp_path: Path) -> None:
    script = tmp_path / "project.py"
    script.write_text(PROJECT)
    result = subprocess.run(
        [sys.executable, script, tmp_path / "db.sqlite3"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
