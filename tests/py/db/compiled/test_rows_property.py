"""Random rows, written by Django, come out of C as msgspec writes what Django reads of them."""

import asyncio
import datetime as dt
import ipaddress
import math
import random
import string
import threading
import uuid
from decimal import Decimal

import msgspec
import pytest
from compiled_models import City

from quintette import _quintette
from quintette.db.compiled import compiled, engines
from quintette.db.compiled.statement import Statement

ROWS = 400
FIRST_ID = 1_000_000  # far from the rows of other tests
USING = "default"

ALPHABET = (
    string.printable.replace("\x0b", "")
    + '"\\\x01\x1f\x7f\u00e9\u0627\u0631\u062f\u0648\u2028\U0001f600'
)


def a_text(rng, size):
    return "".join(rng.choice(ALPHABET) for _ in range(rng.randrange(size)))


def a_float(rng):
    return rng.choice(
        [
            0.0,
            rng.uniform(-1, 1) * 10 ** rng.randrange(-20, 25),
            round(rng.uniform(-1000, 1000), rng.randrange(6)),
            float(rng.randrange(-(2**60), 2**60)),
            math.ldexp(1, rng.randrange(-1000, 1000)),
        ]
    )


def a_document(rng, depth=0):
    kind = rng.randrange(8 if depth < 3 else 6)
    if kind == 6:
        return [a_document(rng, depth + 1) for _ in range(rng.randrange(4))]
    if kind == 7:
        return {a_text(rng, 6): a_document(rng, depth + 1) for _ in range(rng.randrange(4))}
    scalars = (True, False, None, a_float(rng), rng.randrange(-(10**20), 10**20), a_text(rng, 12))
    return rng.choice(scalars)


def a_moment(rng):
    """Any microsecond of the years that Python knows."""
    return dt.datetime(1, 1, 1, tzinfo=dt.UTC) + dt.timedelta(
        microseconds=rng.randrange(315_537_897_600_000_000)
    )


def a_duration(rng):
    return dt.timedelta(microseconds=rng.randrange(-(2**62), 2**62) >> rng.randrange(62))


def an_address(rng):
    if rng.randrange(2):
        return str(ipaddress.IPv4Address(rng.getrandbits(32)))
    words = (rng.choice((0, 0, rng.getrandbits(16))) for _ in range(8))
    return str(ipaddress.IPv6Address(":".join(f"{word:x}" for word in words)))


def a_city(number, rng):
    def maybe(value):
        return value if rng.randrange(5) else None

    return City(
        id=FIRST_ID + number,
        name=a_text(rng, 50),
        population=rng.randrange(-(2**31), 2**31) >> rng.randrange(32),
        big=rng.randrange(-(2**63), 2**63) >> rng.randrange(64),
        area=a_float(rng),
        price=Decimal(rng.randrange(-(10**9) + 1, 10**9)).scaleb(-2),
        capital=rng.random() < 0.5,
        founded=maybe(a_moment(rng).date()),
        seen=maybe(a_moment(rng)),
        opens=maybe(a_moment(rng).time()),
        took=maybe(a_duration(rng)),
        uid=maybe(uuid.UUID(int=rng.getrandbits(128))),
        data=maybe(a_document(rng)),
        raw=maybe(rng.randbytes(rng.randrange(20))),
        ip=maybe(an_address(rng)),
    )


@pytest.fixture(params=range(3))
def rows(request, alias):
    global USING
    USING = alias
    rng = random.Random(request.param)
    manager = City.objects.using(alias)
    manager.bulk_create(a_city(number, rng) for number in range(ROWS))
    yield manager.filter(id__gte=FIRST_ID)
    manager.filter(id__gte=FIRST_ID).delete()


def all_columns(first: int):
    return City.objects.using(USING).filter(id__gte=first).order_by("id").values(
        "id", "name", "population", "big", "area", "price", "capital", "founded", "seen", "opens",
        "took", "uid", "data", "raw", "ip", "country",
    )  # fmt: skip


def test_json_is_what_msgspec_writes_of_djangos_rows(rows, monkeypatch):
    def refuse(*args):
        raise AssertionError("a query ran on Django's connection")

    expected = [msgspec.json.encode(row) for row in all_columns(FIRST_ID)]
    monkeypatch.setattr(Statement, "run", refuse)
    # A read that takes long on a busy machine must not go to Django's connection: the file is
    # opened anew, with a minute for each.
    monkeypatch.setattr(engines, "_files", threading.local())
    monkeypatch.setattr(engines, "SQLITE_BUDGET_USEC", 60_000_000)
    query = compiled(all_columns)

    async def main():
        return await query.json(FIRST_ID)

    loop = asyncio.SelectorEventLoop(_quintette.Poller())
    try:
        got = loop.run_until_complete(main())
    finally:
        loop.close()
    assert len(expected) == ROWS
    assert query._statement(FIRST_ID).has_plan
    if got != b"[" + b",".join(expected) + b"]":
        at = 1
        for row in expected:  # the first that differs, and not a megabyte of them
            assert got[at : at + len(row)] == row
            at += len(row) + 1
        raise AssertionError("more than the expected rows")
