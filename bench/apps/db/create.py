"""Makes the data set in the database that the settings name: python -m bench.apps.db.create."""

from __future__ import annotations

from datetime import timedelta

import django
from django.core.management import call_command


def fill() -> None:
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY
    from django.contrib.auth import SESSION_KEY as USER_KEY
    from django.contrib.auth.models import User
    from django.contrib.sessions.backends.db import SessionStore
    from django.contrib.sessions.models import Session
    from django.utils import timezone

    from bench.apps.db import data
    from bench.apps.db.models import Airport, City, Counter, Country, Fortune

    numbers = range(1, data.CITIES + 1)
    Country.objects.bulk_create(
        Country(**data.country(number)) for number in range(1, data.COUNTRIES + 1)
    )
    City.objects.bulk_create(City(**data.city(number)) for number in numbers)
    Airport.objects.bulk_create(
        Airport(**airport, city_id=number)
        for number in numbers
        for airport in data.airports_of(number)
    )
    Fortune.objects.bulk_create(
        Fortune(id=number, message=message) for number, message in data.FORTUNES
    )
    Counter.objects.bulk_create(
        Counter(id=number, number=0) for number in range(1, data.COUNTERS + 1)
    )
    user = User.objects.create(**data.USER, password="!")
    content = {
        USER_KEY: str(user.pk),
        BACKEND_SESSION_KEY: "django.contrib.auth.backends.ModelBackend",
        HASH_SESSION_KEY: user.get_session_auth_hash(),
    }
    Session.objects.create(
        session_key=data.SESSION_KEY,
        session_data=SessionStore().encode(content),
        expire_date=timezone.now() + timedelta(days=3650),
    )


def main() -> None:
    django.setup()
    call_command("migrate", run_syncdb=True, verbosity=0)
    fill()


if __name__ == "__main__":
    main()
