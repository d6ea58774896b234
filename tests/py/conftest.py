"""The Django project of all tests that run in this process; what was skipped without PostgreSQL."""

from collections import Counter

import django
import pytest
from django.conf import settings

if not settings.configured:
    settings.configure(
        ALLOWED_HOSTS=["*"],
        INSTALLED_APPS=[
            "quintette",
            "quintette.apikeys",
            "quintette.idempotency",
            "django.contrib.contenttypes",
            "django.contrib.auth",
            "django.contrib.sessions",
            "django.contrib.staticfiles",
            "quintette.auth",
        ],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        ROOT_URLCONF="urls",
        SECRET_KEY="for tests",
        STATIC_URL="/static/",
        TEMPLATES=[
            {"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}
        ],
    )
    django.setup()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Counts and names the tests that a server would have run."""
    skipped: Counter[str] = Counter(
        report.nodeid.partition("[")[0]
        for report in terminalreporter.stats.get("skipped", [])
        if "postgresql" in report.keywords
    )
    if not skipped:
        return
    terminalreporter.section("no PostgreSQL")
    terminalreporter.line(
        f"{skipped.total()} tests need a PostgreSQL server (DATABASE_URL, else 127.0.0.1:5432):"
    )
    for name, count in sorted(skipped.items()):
        terminalreporter.line(f"  {name}" + (f" ({count} cases)" if count > 1 else ""))
