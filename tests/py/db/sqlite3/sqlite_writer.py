"""A process that writes: sqlite_writer.py FILE THREADS TRANSACTIONS. Prints "ready", waits for a
line; then each thread makes so many transactions, which number their rows on."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor


def main() -> None:
    import django
    from django.conf import settings

    name, threads, transactions = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    # Enough for a machine that has other things to do.
    options = {"pragmas": {"busy_timeout": 50_000}}
    database = {"ENGINE": "quintette.db.sqlite3", "NAME": name, "OPTIONS": options}
    settings.configure(DATABASES={"default": database})
    django.setup()
    from django.db import connection, transaction

    def write() -> None:
        for _ in range(transactions):
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SELECT coalesce(max(n), 0) FROM thing")
                number = cursor.fetchone()[0]
                cursor.execute("INSERT INTO thing (n) VALUES (%s)", [number + 1])
        connection.close()

    print("ready", flush=True)
    sys.stdin.readline()
    with ThreadPoolExecutor(threads) as workers:
        for done in [workers.submit(write) for _ in range(threads)]:
            done.result()


if __name__ == "__main__":
    main()
