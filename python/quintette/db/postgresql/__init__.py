"""Django's PostgreSQL engine with a psycopg connection whose waiting leaves the event loop free."""
