"""Models of these tests, and two databases with the same rows."""

import contextlib
import datetime as dt
import decimal
import os
import uuid
from urllib.parse import urlsplit

from django.db import connections, models

DATABASE = f"compiled_tests_{os.getpid()}"


class Country(models.Model):
    code = models.CharField(max_length=2, unique=True)
    name = models.CharField(max_length=50)

    class Meta:
        app_label = "compiled_tests"


class ShoutedField(models.CharField):
    """A field with ways of its own, in both directions."""

    def get_prep_value(self, value):
        return None if value is None else str(value).lower()

    def from_db_value(self, value, expression, connection):
        return None if value is None else value.upper()


class City(models.Model):
    name = models.CharField(max_length=50)
    shouted = ShoutedField(max_length=50, default="x")
    population = models.IntegerField()
    big = models.BigIntegerField(default=1 << 40)
    area = models.FloatField(default=0.5)
    price = models.DecimalField(max_digits=9, decimal_places=2, default=decimal.Decimal("1.50"))
    capital = models.BooleanField(default=False)
    founded = models.DateField(null=True)
    seen = models.DateTimeField(null=True)
    opens = models.TimeField(null=True)
    took = models.DurationField(null=True)
    uid = models.UUIDField(null=True)
    data = models.JSONField(null=True)
    raw = models.BinaryField(null=True)
    ip = models.GenericIPAddressField(null=True)
    country = models.ForeignKey(Country, models.CASCADE, null=True, related_name="cities")

    class Meta:
        app_label = "compiled_tests"


def city(number, countries):
    return City(
        name=f"Ci_ty {number}% é \\ \"quoted\" '{number}'",
        shouted=f"name {number}",
        population=number * 1000 - 3000,
        area=number / 3,
        price=decimal.Decimal(number) / 4,
        capital=number % 3 == 0,
        founded=dt.date(1990 + number, 2, 28) if number % 4 else None,
        seen=dt.datetime(2000 + number, 5, 1, 23, 59, 59, number * 1000, dt.UTC),
        opens=dt.time(number, 30),
        took=dt.timedelta(days=number, seconds=5, microseconds=number),
        uid=uuid.UUID(int=number << 64),
        data={"a": [number, None, "é"], "b": {}} if number % 2 else None,
        raw=bytes([number, 255, 0]),
        ip="10.0.0.1" if number % 2 else "2001:db8::1",
        country=countries[number % 3],
    )


def fill(alias):
    with connections[alias].schema_editor() as editor:
        editor.create_model(Country)
        editor.create_model(City)
    manager = Country.objects.using(alias)
    countries = [
        manager.create(code="PK", name="Pakistan"),
        manager.create(code="DE", name="Germany"),
        None,
    ]
    City.objects.using(alias).bulk_create(city(number, countries) for number in range(12))


def settings_of(alias, path):
    if alias == "compiled_sqlite":
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": str(path)}
    url = urlsplit(os.environ.get("DATABASE_URL", "postgresql://root@127.0.0.1:5432/postgres"))
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": DATABASE,
        "USER": url.username or "postgres",
        "PASSWORD": url.password or "",
        "HOST": url.hostname or "",
        "PORT": url.port or "",
        "TEST_MAINTENANCE": url.path.lstrip("/") or "postgres",
    }


def add_database(alias, settings):
    connections.settings[alias] = connections.configure_settings(
        {"default": connections.settings["default"], alias: settings}
    )[alias]


@contextlib.contextmanager
def postgresql_database(settings):
    """Creates it, drops it. Raises psycopg.OperationalError where no server answers."""
    import psycopg

    def run(sql):
        with psycopg.connect(
            dbname=settings["TEST_MAINTENANCE"],
            user=settings["USER"],
            password=settings["PASSWORD"] or None,
            host=settings["HOST"],
            port=settings["PORT"] or None,
            autocommit=True,
            connect_timeout=5,
        ) as connection:
            connection.execute(sql)

    run(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
    run(f"CREATE DATABASE {DATABASE} ENCODING 'UTF8' TEMPLATE template0")
    try:
        yield
    finally:
        run(f"DROP DATABASE {DATABASE} WITH (FORCE)")
