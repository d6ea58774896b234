"""The data set, as plain values, and what each case must answer."""

from __future__ import annotations

import random
import uuid
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

VERSION = 1
"""Of the data set: raised when rows or tables change, so that the databases are made anew."""

COUNTRIES = 50
CITIES = 1000
AIRPORTS_PER_CITY = 3
COUNTERS = 10_000
LIMIT = 10

ONE = 137
COUNTRY = 7
TWENTY = tuple(range(20, 1000, 49))
"""The keys of the twenty queries."""
FOUR = (11, 222, 333, 444)

MINI = ("id", "name")
FULL = (
    "id",
    "name",
    "country_id",
    "population",
    "latitude",
    "longitude",
    "area",
    "founded",
    "updated",
    "capital",
    "code",
    "motto",
)

USER = {"id": 1, "username": "django", "email": "django@example.org", "is_staff": False}
SESSION_KEY = "benchbenchbenchbenchbenchbench01"
COOKIE = f"sessionid={SESSION_KEY}"

ADDED_FORTUNE = (0, "Additional fortune added at request time.")
FORTUNES = (
    (1, "fortune: No such file or directory"),
    (2, "A computer scientist is someone who fixes things that aren't broken."),
    (3, "After enough decimal places, nobody gives a damn."),
    (4, "A bad random number generator: 1, 1, 1, 1, 1, 4.33e+67, 1, 1, 1"),
    (5, "A computer program does what you tell it to do, not what you want it to do."),
    (6, "Emacs is a nice operating system, but I prefer UNIX. — Tom Christaensen"),
    (7, "Any program that runs right is obsolete."),
    (8, "A list is only as strong as its weakest link. — Donald Knuth"),
    (9, "Feature: A bug with seniority."),
    (10, "Computers make very fast, very accurate mistakes."),
    (11, '<script>alert("This should not be displayed in a browser alert box.");</script>'),
    (12, "フレームワークのベンチマーク"),
)


def country(number: int) -> dict[str, Any]:
    return {"id": number, "code": f"{chr(65 + number // 26)}{chr(65 + number % 26)}"} | {
        "name": f"Country {number}"
    }


def city(number: int) -> dict[str, Any]:
    return {
        "id": number,
        "name": f"São Città {number}" if number % 5 == 0 else f"City {number}",
        "country_id": (number - 1) % COUNTRIES + 1,
        "population": number * 7919 % 9_999_991,
        "latitude": number * 0.0625 - 31.7,
        "longitude": 12.345678 + number / 8,
        "area": Decimal(number * 137 % 100_000) / Decimal(100),
        "founded": date(1100, 1, 1) + timedelta(days=number * 311),
        "updated": datetime(2024, 1, 1, tzinfo=UTC) + timedelta(seconds=number * 86_399),
        "capital": number % 20 == 0,
        "code": uuid.UUID(int=number * 0x1234567890ABCDEF1234567),
        "motto": None if number % 3 == 0 else f'"Fluctuat nec mergitur", no. {number}',
    }


def airports_of(number: int) -> list[dict[str, Any]]:
    first = (number - 1) * AIRPORTS_PER_CITY
    return [
        {"id": first + each, "code": f"Q{first + each:04d}", "name": f"Airport {each}"}
        for each in range(1, AIRPORTS_PER_CITY + 1)
    ]


def of_country() -> list[dict[str, Any]]:
    """The ten rows of the list cases, in the order of their keys."""
    return [city(COUNTRY + COUNTRIES * number) for number in range(LIMIT)]


def as_json(row: dict[str, Any]) -> dict[str, Any]:
    """A row as its JSON reads: dates as text in UTC, decimals and UUIDs as text."""
    return {name: _as_json(value) for name, value in row.items()}


def _as_json(value: object) -> object:
    match value:
        case datetime():
            return value.strftime("%Y-%m-%dT%H:%M:%SZ")
        case date():
            return value.isoformat()
        case Decimal():
            return f"{value:.2f}"
        case uuid.UUID():
            return str(value)
        case _:
            return value


def one() -> dict[str, Any]:
    return as_json(city(ONE))


def full10() -> list[dict[str, Any]]:
    return [as_json(row) for row in of_country()]


def mini10() -> list[dict[str, Any]]:
    return [{name: row[name] for name in MINI} for row in of_country()]


def some(keys: tuple[int, ...]) -> list[dict[str, Any]]:
    return [{name: city(key)[name] for name in MINI} for key in keys]


def nested() -> list[dict[str, Any]]:
    found = []
    for row in of_country():
        its_country = country(row["country_id"])
        found.append(
            {
                "id": row["id"],
                "name": row["name"],
                "population": row["population"],
                "country": {"code": its_country["code"], "name": its_country["name"]},
                "airports": [
                    {"code": airport["code"], "name": airport["name"]}
                    for airport in airports_of(row["id"])
                ],
            }
        )
    return found


def fortunes() -> list[tuple[int, str]]:
    return sorted([*FORTUNES, ADDED_FORTUNE], key=lambda fortune: fortune[1])


UPDATED = {"updated": LIMIT}


def block() -> int:
    """The first of ten neighbouring counters to update, at random. Blocks do not overlap, so that
    no two updates deadlock."""
    return random.randrange(COUNTERS // LIMIT) * LIMIT + 1
