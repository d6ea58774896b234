import os

from django.apps import AppConfig


class LedgerConfig(AppConfig):
    name = "ledger"

    def ready(self) -> None:
        if leak := os.environ.get("STRESS_LEAK"):
            from ledger import leaks

            getattr(leaks, leak)()
