"""The views' paths: synchronous ones, or those of ``BENCH_VIEWS=async``."""

from __future__ import annotations

import os

from django.urls import path

from bench.apps.db import async_views, views

_asynchronous = os.environ.get("BENCH_VIEWS") == "async"
_views = async_views if _asynchronous else views

urlpatterns = [
    path("city/<int:key>", _views.one),
    path("cities", _views.full10),
    path("city-names", _views.mini10),
    path("nested", _views.nested),
    path("twenty", _views.twenty),
    path("twenty-in-turn", async_views.twenty_in_turn if _asynchronous else views.twenty),
    path("four", views.four),
    path("fortunes", _views.fortunes),
    path("update", _views.update10),
    path("me", _views.me),
]
