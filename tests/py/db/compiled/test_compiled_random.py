"""Random models with random rows: results and JSON, byte for byte, are those of the ORM and
msgspec.json.encode, on connections of our own and on Django's. One seed replays a whole case."""

import asyncio
import datetime as dt
import decimal
import math
import random
import struct
import uuid

import msgspec
import pytest
from django.db import connections, models

from quintette import _quintette
from quintette.db.compiled import compiled

ROWS = 40
SEEDS = range(16)
UTC = dt.UTC


def text(rng):
    alphabets = ("abc", "aé€😀\u2028", '"\\/\b\f\n\r\t\x01\x1f\x7f', "  %_'")
    return "".join(rng.choice(rng.choice(alphabets)) for _ in range(rng.randrange(40)))


def real(rng):
    kind = rng.randrange(4)
    if kind == 0:
        return rng.choice(
            [0.0, -0.0, 1.0, 1e16, 1e-7, 123456789.125, 5e-324, 1.7976931348623157e308]
        )
    if kind == 1:
        return float(rng.randrange(-(10**6), 10**6))
    while kind == 2:
        value = struct.unpack("<d", rng.randbytes(8))[0]
        # SQLite writes and reads back decimal digits of very small ones inexactly.
        if math.isfinite(value) and (value == 0 or 1e-290 < abs(value) < 1e290):
            return value
    return rng.uniform(-1000, 1000)


def day(rng):
    return dt.date.fromordinal(rng.choice([1, 730000, 3652059, rng.randrange(1, 3652060)]))


def clock(rng):
    usec = rng.choice([0, 1, 500000, 999999, rng.randrange(1000000)])
    return dt.time(rng.randrange(24), rng.randrange(60), rng.randrange(60), usec)


def moment(rng):
    date = dt.date.fromordinal(rng.randrange(400, 3652000))
    return dt.datetime.combine(date, clock(rng), UTC)


def duration(rng):
    days = rng.choice([0, 1, -1, rng.randrange(-9999, 9999)])
    return dt.timedelta(days, rng.randrange(86400), rng.choice([0, 7, rng.randrange(1000000)]))


def value_of_json(rng, depth=0):
    kind = rng.randrange(8 if depth < 3 else 6)
    if kind == 6:
        return [value_of_json(rng, depth + 1) for _ in range(rng.randrange(4))]
    if kind == 7:
        return {text(rng).replace("\x00", ""): value_of_json(rng, depth + 1) for _ in range(3)}
    return [None, True, rng.randrange(-(1 << 53), 1 << 53), text(rng), rng.uniform(-9, 9), 0.5][
        kind
    ]


def number(bits):
    half = 1 << (bits - 1)
    return lambda rng: rng.choice([0, 1, -1, half - 1, -half, rng.randrange(-half, half)])


def price(rng):
    return decimal.Decimal(rng.randrange(-(10**9), 10**9)).scaleb(-2)


FIELDS = {
    "small": (models.SmallIntegerField, {}, number(16)),
    "integer": (models.IntegerField, {}, number(32)),
    "big": (models.BigIntegerField, {}, number(64)),
    "real": (models.FloatField, {}, real),
    "price": (models.DecimalField, {"max_digits": 11, "decimal_places": 2}, price),
    "flag": (models.BooleanField, {}, lambda rng: rng.random() < 0.5),
    "char": (models.CharField, {"max_length": 100}, text),
    "text": (models.TextField, {}, text),
    "raw": (models.BinaryField, {}, lambda rng: rng.randbytes(rng.randrange(20))),
    "day": (models.DateField, {}, day),
    "clock": (models.TimeField, {}, clock),
    "moment": (models.DateTimeField, {}, moment),
    "duration": (models.DurationField, {}, duration),
    "uid": (models.UUIDField, {}, lambda rng: uuid.UUID(int=rng.getrandbits(128))),
    "data": (models.JSONField, {}, value_of_json),
    "ip": (
        models.GenericIPAddressField,
        {},
        lambda rng: rng.choice(["10.0.0.1", "::1", "2001:db8::ff", "::ffff:a00:1"]),
    ),
}


def make_model(rng, seed, alias):
    names = rng.sample(sorted(FIELDS), rng.randrange(3, len(FIELDS) + 1))
    attributes = {"__module__": __name__}
    attributes["Meta"] = type("Meta", (), {"app_label": "compiled_tests"})
    for name in names:
        cls, options, _ = FIELDS[name]
        attributes[name] = cls(null=True, **options)
    return type(f"Random{seed}{alias.title().replace('_', '')}", (models.Model,), attributes), names


@pytest.fixture(scope="module")
def loop():
    loop = asyncio.SelectorEventLoop(_quintette.Poller())
    yield loop
    loop.close()


async def awaited(pending):
    return await pending


@pytest.mark.parametrize("seed", SEEDS)
def test_equal(seed, alias, loop):
    rng = random.Random(seed)
    model, names = make_model(rng, seed, alias)
    with connections[alias].schema_editor() as editor:
        editor.create_model(model)
    model.objects.using(alias).bulk_create(
        model(**{n: FIELDS[n][2](rng) if rng.random() < 0.85 else None for n in names})
        for _ in range(ROWS)
    )

    def instances(n: int):
        return model.objects.using(alias).order_by("-id")[:n]

    def values(n: int):
        return model.objects.using(alias).order_by("id").values(*names)[:n]

    def rows(n: int):
        return model.objects.using(alias).order_by("id").values_list(*names)[:n]

    expected = list(instances(ROWS))
    query = compiled(instances)
    for got in (loop.run_until_complete(awaited(query(ROWS))), query(ROWS).get()):
        assert [vars(x) | {"_state": 0} for x in got] == [vars(x) | {"_state": 0} for x in expected]
    for function in (values, rows):
        query = compiled(function)
        expected = list(function(ROWS))
        encoded = msgspec.json.encode(expected)
        assert loop.run_until_complete(awaited(query(ROWS))) == expected
        assert query.json(ROWS).get() == encoded
        got = loop.run_until_complete(awaited(query.json(ROWS)))
        assert got == encoded
        assert query._statement(ROWS).has_plan
