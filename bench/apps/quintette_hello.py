"""One worker of Quintette serving a typed hello: python quintette_hello.py PORT."""

from __future__ import annotations

import sys

import django
from django.conf import settings
from django.core.management import call_command
from django.urls import path

settings.configure(
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["*"],
    INSTALLED_APPS=["quintette"],
    MIDDLEWARE=[],
    SECRET_KEY="bench",
    QUINTETTE={"ACCESS_LOG": False, "REQUESTS_PER_CONNECTION": 1_000_000_000},
)
django.setup()

from quintette import API  # noqa: E402  (needs configured settings)

api = API(title="Hello", version="1")


@api.get("/hello")
async def hello() -> dict[str, str]:
    return {"message": "Hello, world!"}


urlpatterns = [path("", api.urls)]

if __name__ == "__main__":
    call_command("serve", f"127.0.0.1:{sys.argv[1]}", "--workers=1", "--noreload")
