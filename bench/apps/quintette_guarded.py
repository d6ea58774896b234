"""The page of 10 KB behind a throttle, CORS and compression."""

from __future__ import annotations

from django.urls import path

from bench.apps.msgspec_types import PAGE_10K, Page
from bench.guard_cases import ORIGIN
from quintette import API, Compress
from quintette.traffic import CORS, Throttle

ENDLESS = "1000000/s"
"""A limit that no load reaches."""

api = API(
    title="Bench", version="1", guards=[CORS(origins=[ORIGIN]), Compress(), Throttle(ENDLESS)]
)


@api.get("/guarded-10k")
async def guarded_10k() -> Page:
    return PAGE_10K


urlpatterns = [path("", api.urls)]
