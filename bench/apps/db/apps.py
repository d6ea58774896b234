"""The application's label; it has no migrations."""

from __future__ import annotations

from django.apps import AppConfig


class BenchDatabase(AppConfig):
    name = "bench.apps.db"
    label = "bench"
    default_auto_field = "django.db.models.BigAutoField"
