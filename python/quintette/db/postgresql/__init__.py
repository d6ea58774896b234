"""Django's PostgreSQL engine with a psycopg connection whose waiting leaves the event loop free."""

from django.core.exceptions import ImproperlyConfigured

try:
    import psycopg  # noqa: F401
except ImportError as error:
    raise ImproperlyConfigured(
        'ENGINE "quintette.db.postgresql" needs psycopg 3: pip install "quintette[postgresql]". '
        f"({error})"
    ) from error
