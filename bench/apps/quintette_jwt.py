"""The hello behind a JWT."""

from __future__ import annotations

from django.urls import path

from bench.apps.tokens import KEY
from quintette import API
from quintette.auth.jwt import JWT

api = API(title="Bench", version="1", guards=[JWT(KEY, algorithm="HS256")])


@api.get("/protected")
async def protected() -> dict[str, str]:
    return {"message": "Hello, world!"}


urlpatterns = [path("", api.urls)]
