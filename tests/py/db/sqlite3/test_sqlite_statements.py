"""What kind of statement a text is, and which ones are remembered as slow."""

from __future__ import annotations

import pytest

from quintette.db.sqlite3 import slow, statements
from quintette.db.sqlite3.slow import SlowTexts
from quintette.db.sqlite3.statements import Kind, Statements, is_lasting, kind_of

KINDS = [
    ("SELECT 1", Kind.READ),
    ("  select 1", Kind.READ),
    ("/* a */ -- b\n (SELECT 1) UNION SELECT 2", Kind.READ),
    ("VALUES (1)", Kind.READ),
    ("WITH a AS (SELECT 1) SELECT * FROM a", Kind.READ),
    ("WITH a AS (SELECT 1) INSERT INTO t SELECT * FROM a", Kind.WRITE),
    ("WITH a AS (SELECT 1)\ndelete FROM t", Kind.WRITE),
    ("WITH a AS (SELECT 'update me') SELECT * FROM a", Kind.WRITE),  # to be on the safe side
    ("INSERT INTO t VALUES (1) RETURNING a", Kind.WRITE),
    ("update t SET a = 1", Kind.WRITE),
    ("DELETE FROM t", Kind.WRITE),
    ("REPLACE INTO t VALUES (1)", Kind.WRITE),
    ("BEGIN IMMEDIATE", Kind.WRITE),
    ("begin  exclusive transaction", Kind.WRITE),
    ("BEGIN", Kind.OTHER),
    ("BEGIN DEFERRED", Kind.OTHER),
    ("COMMIT", Kind.OTHER),
    ("SAVEPOINT x", Kind.OTHER),
    ("PRAGMA table_info(t)", Kind.OTHER),
    ("EXPLAIN QUERY PLAN SELECT 1", Kind.OTHER),
    ("CREATE TABLE t (a)", Kind.LONG_WRITE),
    ("VACUUM", Kind.LONG_WRITE),
    ("", Kind.OTHER),
    ("/* never ends", Kind.OTHER),
]


@pytest.mark.parametrize(("text", "kind"), KINDS)
def test_kind(text: str, kind: Kind) -> None:
    assert kind_of(text) is kind


LASTING = [
    ("PRAGMA foreign_keys = OFF", True),
    ("attach 'x' AS y", True),
    ("CREATE TEMP TABLE t (a)", True),
    ("create temporary view v AS SELECT 1", True),
    ("CREATE TABLE t (a)", False),
    ("SELECT temp FROM t", False),
]


@pytest.mark.parametrize(("text", "lasting"), LASTING)
def test_what_changes_the_connection(text: str, lasting: bool) -> None:
    assert is_lasting(text) is lasting


def test_texts_are_converted_once_and_not_kept_for_ever() -> None:
    known = Statements()
    calls = []

    def convert(query: str) -> str:
        calls.append(query)
        return query.replace("%s", "?")

    for _ in range(3):
        assert known.get("SELECT %s", convert) == ("SELECT ?", Kind.READ, False)
    assert len(calls) == 1
    for i in range(statements.TEXTS_MAX + 10):
        known.get(f"SELECT {i}", convert)
    assert len(known._known) <= statements.TEXTS_MAX
    long = "SELECT " + "x" * statements.TEXT_LENGTH_MAX
    known.get(long, convert)
    assert long not in known._known


def test_slow_texts_get_another_chance_after_ever_longer_times() -> None:
    now = 0.0
    texts = SlowTexts(clock=lambda: now)
    texts.add("a")
    for seconds in (30, 60, 120):
        assert "a" in texts
        now += seconds - 1
        assert "a" in texts
        now += 1
        assert "a" not in texts
        texts.add("a")
    for _ in range(20):
        texts.add("a")
    now += slow.FORGET_SECONDS_MAX
    assert "a" not in texts
    texts.discard("a")
    texts.add("a")
    now += slow.FORGET_SECONDS
    assert "a" not in texts


def test_slow_texts_are_bounded() -> None:
    texts = SlowTexts()
    for i in range(slow.TEXTS_MAX + 5):
        texts.add(str(i))
    assert len(texts) == slow.TEXTS_MAX
    assert "4" not in texts
    assert "5" in texts
