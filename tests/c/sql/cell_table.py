"""Write cell_table.inc: cells, and the JSON that msgspec makes of what Django has of them.

    .venv/bin/python tests/c/sql/cell_table.py > tests/c/sql/cell_table.inc

PostgreSQL's bytes are those of psycopg's binary dumpers, SQLite's values go through the converters
of Django's back end.
"""

import datetime as dt
import json
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from ipaddress import ip_interface
from typing import Any

import django
import msgspec
from django.conf import settings
from psycopg.adapt import PyFormat, Transformer
from psycopg.types.json import Jsonb
from psycopg.types.numeric import Float4, Int2, Int4, Int8

settings.configure(
    USE_TZ=True,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
)
django.setup()

from django.db import connection, models  # noqa: E402
from django.db.models.expressions import Col  # noqa: E402

UTC = dt.UTC
TRANSFORMER = Transformer()
STRINGS = [
    '"',
    "\\",
    "a\nb",
    "\x00\x01\x1f\x7f",
    "caf\u00e9",
    "\u0627\u0631\u062f\u0648",
    "\U0001f600/",
]
DAYS = [
    dt.date(1, 1, 1), dt.date(1, 12, 31), dt.date(4, 2, 29), dt.date(1582, 10, 15),
    dt.date(1900, 2, 28), dt.date(1900, 3, 1), dt.date(1970, 1, 1), dt.date(1999, 12, 31),
    dt.date(2000, 1, 1), dt.date(2000, 2, 29), dt.date(2000, 3, 1), dt.date(2100, 12, 31),
    dt.date(9999, 12, 31),
]  # fmt: skip
TIMES = [dt.time(), dt.time(1, 2, 3), dt.time(12, 0, 0, 1), dt.time(23, 59, 59, 999999)]
DURATIONS = [
    dt.timedelta(), dt.timedelta(days=1), dt.timedelta(days=-1), dt.timedelta(seconds=1),
    dt.timedelta(microseconds=-1), dt.timedelta(days=-1, hours=-3), dt.timedelta(milliseconds=500),
    dt.timedelta(days=1, seconds=3661, microseconds=5), dt.timedelta(days=-400, microseconds=10),
]  # fmt: skip
DECIMALS = [
    "0", "0.0", "0.00", "0.000000", "0.0000000", "1", "-1", "10000", "9999", "100000000", "1.10",
    "-0.5", "0.0001", "0.00001", "0.000001", "0.0000001", "0.00000012", "9999.9999", "10000.0001",
    "-99990000.00010", "123456789012345678901234567890.123456789", "NaN", "Infinity", "-Infinity",
]  # fmt: skip
FLOATS = [
    0.0, -0.0, 0.1, 1.0, -1.5, 123.456, 1e15, 9007199254740993.0, 1e16, 1e17, 1e22, 1e23, 1e-4,
    1e-5, 1.234e-5, 1e-6, 1.5e-7, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308,
    float("nan"), float("inf"), float("-inf"), 0.30000000000000004, 9.5367431640625e-07,
]  # fmt: skip
DOCUMENTS = [
    '{"a": [1, 2.50, null], "b": {"c": true, "d": false}}', "[]", "{}", ' [ [ ] , { } ] ', '"\\/"',
    '"\\u00e9\\ud83d\\ude00\\u001f\\u0022\\u005c\\u0008"', "-0", "-0.0", "1e5", "1E400", "0.1e-7",
    "123456789012345678901234567890", "1.000000000000000000000000000000000000000000000001", "null",
]  # fmt: skip
SQLITE_DECIMALS: list[Any] = [
    0.0, 0.1, 0.5, 2.5, 0.125, 1e15, 1e16, 1e20, 123456789012345.6, 1234567890123456.0,
    999999999999999.9, 0.30000000000000004, 1e-5, 12.345, 1.005, 2.675, 9.995, -0.045, 100.0, 3, -7,
    0, 2**63 - 1, "1.5", "-1.50", "1E+3", "1e-10", "00012.340", "0.005", "0.015", "99.995", "-0",
]  # fmt: skip


def c_string(data: bytes) -> str:
    """Octal escapes end by themselves, unlike hexadecimal ones."""
    plain = (chr(b) if 32 <= b < 127 and b not in b'"\\?' else f"\\{b:03o}" for b in data)
    return '"' + "".join(plain) + '"'


def row(source: str, value: str, cell: str, expected: bytes | None, **more: object) -> str:
    fields = "".join(f", .{name} = {content}" for name, content in more.items())
    answer = f"{c_string(expected)}, Q5_OK" if expected is not None else "NULL, Q5_ECELL_RANGE"
    kind = f".source = Q5_SOURCE_{source}, .value = Q5_VALUE_{value}{fields}"
    return f"    {{{{{kind}}}, {cell}, {answer}}},"


def encoded(make: Callable[[], object]) -> bytes | None:
    try:
        return msgspec.json.encode(make())
    except (ArithmeticError, ValueError):
        return None


def bytes_cell(data: bytes) -> str:
    return f"BYTES({c_string(data)})"


def plain(obj: Any) -> Any:
    """Without psycopg's own kinds of int."""
    if isinstance(obj, list):
        return [plain(item) for item in obj]
    return int(obj) if isinstance(obj, (Int2, Int4, Int8)) else obj


def pg(value: str, oid: str, obj: object, python: object = ..., **more: object) -> str:
    dumper = TRANSFORMER.get_dumper(obj, PyFormat.BINARY)
    data = bytes(dumper.dump(obj) or b"")
    expected = msgspec.json.encode(plain(obj) if python is ... else python)
    return row("POSTGRESQL", value, bytes_cell(data), expected, oid=f"Q5_PG_{oid}", **more)


def pg_rows() -> Iterator[str]:
    for flag in (True, False):
        yield pg("BOOL", "BOOL", flag)
    for width, bits in ((Int2, 16), (Int4, 32), (Int8, 64)):
        for number in (0, 7, 10, -1, 12345, 2 ** (bits - 1) - 1, -(2 ** (bits - 1))):
            yield pg("INT", f"INT{bits // 8}", width(number))
    for number in (0, 5, -(2**53) - 1):
        yield pg("FLOAT", "INT8", Int8(number), float(number))
        yield pg("DECIMAL", "INT8", Int8(number), Decimal(number))
    for real in FLOATS:
        yield pg("FLOAT", "FLOAT8", real)
    for text in ("0", "1", "0.1", "-8692.423", "82189184", "3.4028235e38", "1e-45"):
        yield pg("FLOAT", "FLOAT4", Float4(text), float(text))
    for text in DECIMALS:
        number = Decimal(text)
        yield pg("DECIMAL", "NUMERIC", number)
        yield pg("FLOAT", "NUMERIC", number, float(number))
        if number.is_finite():
            yield pg("INT", "NUMERIC", number, int(number))
    for text in STRINGS:
        yield row(
            "POSTGRESQL",
            "TEXT",
            bytes_cell(text.encode()),
            msgspec.json.encode(text),
            oid="Q5_PG_TEXT",
        )  # psycopg refuses a NUL; so does the server
    for length in range(7):
        yield pg(
            "BYTES", "BYTEA", bytes(range(250, 250 + length)) if length < 6 else b"\xff\x00" * 9
        )
    for day in DAYS:
        yield pg("DATE", "DATE", day)
    for time in TIMES:
        yield pg("TIME", "TIME", time)
    for minutes in (0, 330, -570):
        zone = dt.timezone(dt.timedelta(minutes=minutes))
        yield pg("TIME", "TIMETZ", dt.time(1, 2, 3, 400000, tzinfo=zone))
    for day in DAYS:
        for time in TIMES[1:]:
            moment = dt.datetime.combine(day, time)
            yield pg("DATETIME", "TIMESTAMP", moment)
            yield pg("DATETIME", "TIMESTAMPTZ", moment.replace(tzinfo=UTC), utc="true")
    for duration in DURATIONS:
        yield pg("DURATION", "INTERVAL", duration)
    yield pg("UUID", "UUID", uuid.UUID("12345678-9abc-def0-0123-456789abcdef"))
    for text in DOCUMENTS:
        value = json.loads(text)
        yield pg("JSON", "JSONB", Jsonb(value, dumps=lambda _, text=text: text), value)
    for text in (
        "10.0.0.1",
        "10.0.0.1/8",
        "::",
        "::1",
        "::1.2.3.4",
        "::ffff:1.2.3.4",
        "1::",
        "1:0:0:2::3/64",
    ):
        yield pg("IP", "INET", ip_interface(text), text)
    for array, element, kind in (
        ([Int8(1), None, Int8(3)], "INT8", "INT"),
        ([[Int4(1), Int4(2)], [Int4(3), None]], "INT4", "INT"), (["a", None, '"'], "TEXT", "TEXT"),
        ([[["a"], ["b"]], [["c"], ["d"]]], "TEXT", "TEXT"),
        ([Decimal("1.50")], "NUMERIC", "DECIMAL"), ([dt.date(2026, 1, 31)], "DATE", "DATE"),
    ):  # fmt: skip
        yield pg(kind, element, array, array="true")
    empty = bytes(8) + (20).to_bytes(4, "big")
    yield row("POSTGRESQL", "INT", bytes_cell(empty), b"[]", oid="Q5_PG_INT8", array="true")


def sqlite_cell(value: float | str | bytes) -> str:
    if isinstance(value, int):
        return "INT64(INT64_MIN)" if value == -(2**63) else f"INT64({value})"
    if isinstance(value, float):
        return f"DOUBLE({value!r})"
    if isinstance(value, str):
        return f"TEXT({c_string(value.encode())})"
    return bytes_cell(value)


def sqlite_rows() -> Iterator[str]:
    def lite(value: str, stored: Any, expected: bytes | None, **more: object) -> str:
        return row("SQLITE", value, sqlite_cell(stored), expected, **more)

    for stored in (0, 1):
        yield lite("BOOL", stored, encoded(lambda stored=stored: bool(stored)))
    for value in ("INT", "FLOAT", "TEXT"):
        for stored in (-(2**63), 5, 2.5, "x\u00e9", b"\x00\xff"):
            yield lite(value, stored, msgspec.json.encode(stored))
    for stored in (5, 2.5, -2.5):
        yield lite("INT", stored, msgspec.json.encode(int(stored)), expression="true")
        yield lite("FLOAT", stored, msgspec.json.encode(float(stored)), expression="true")
    for places, digits in ((2, 10), (0, 5), (10, 30), (2, 25)):
        column = Col("t", models.DecimalField(max_digits=digits, decimal_places=places))
        convert = connection.ops.get_decimalfield_converter(column)
        for stored in SQLITE_DECIMALS:
            expected = encoded(lambda f=convert, c=column, s=stored: f(s, c, connection))
            yield lite("DECIMAL", stored, expected, decimal_places=places, max_digits=digits)
    for stored in SQLITE_DECIMALS:
        expected = encoded(lambda stored=stored: connection.ops._create_decimal(stored))
        yield lite("DECIMAL", stored, expected, expression="true")
    for day in DAYS:
        yield lite("DATE", str(day), msgspec.json.encode(day))
        moment = dt.datetime.combine(day, TIMES[day.day % 4])
        aware = connection.ops.convert_datetimefield_value(str(moment), None, connection)
        yield lite("DATETIME", str(moment), msgspec.json.encode(aware), utc="true")
        yield lite("DATETIME", moment.isoformat(), msgspec.json.encode(moment))
    for time in [*TIMES, dt.time(1, 2, 3, 400000)]:
        yield lite("TIME", str(time), msgspec.json.encode(time))
    for duration in DURATIONS:
        us = duration // dt.timedelta(microseconds=1)
        yield lite("DURATION", us, msgspec.json.encode(duration))
    key = uuid.UUID("12345678-9abc-def0-0123-456789abcdef")
    for text in (key.hex, str(key), key.hex.upper()):
        yield lite("UUID", text, msgspec.json.encode(key))
    for text in DOCUMENTS:
        yield lite("JSON", text, msgspec.json.encode(json.loads(text)))
    yield lite("JSON", 5, b"5")


def main() -> None:
    print("/* Made by cell_table.py. */")
    for line in [*pg_rows(), *sqlite_rows()]:
        print(line)


if __name__ == "__main__":
    main()
