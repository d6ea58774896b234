"""libq5's HTTP/1.1 parser against llhttp, httptools and h11 on made, hostile and mutated streams.

Each disagreement must be one of the classes in parser_classes.py, and each class must still occur.
For a longer run, with other streams, PARSER_STREAMS and PARSER_SEED are set in the environment.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import parser_classes
import pytest
from parser_classes import CLASSES
from parser_compare import Disagreement, compare
from parser_inputs import SENTINEL, Generator
from parser_readers import PEERS, Message, Quintette, Reader, Reading

pytestmark = [pytest.mark.conformance, pytest.mark.slow]

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "parser-differences.md"
SEED = int(os.environ.get("PARSER_SEED", "1"))
STREAMS = int(os.environ.get("PARSER_STREAMS", "16000"))
# Beside it as a whole, each stream is cut into pieces of so many bytes.
CUTS = (2, 7, 61)
SHOWN_MAX = 5


@pytest.fixture(scope="module")
def quintette() -> Quintette:
    """libq5 as a library, built if need be."""
    build = ROOT / "build" / "parsers"
    if not (build / "build.ninja").exists():
        options = ["-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", "-DQ5_BUILD_CONFORMANCE=ON"]
        subprocess.run(["cmake", "-S", ROOT, "-B", build, *options], check=True, timeout=120)
    subprocess.run(["ninja", "-C", build, "q5_reader"], check=True, timeout=600)
    return Quintette(build / "tests" / "conformance" / "parsers" / "libq5_reader.so")


def disagreements(quintette: Quintette, peer: str, reader: Reader) -> Iterator[Disagreement]:
    for data in Generator(SEED).streams(STREAMS):
        # Byte by byte, for its offsets; test_cuts shows that this makes no other difference.
        yield from compare(peer, data, quintette(data, 1), reader(data))


@pytest.mark.parametrize("peer", PEERS)
def test_disagreements_are_explained(quintette: Quintette, peer: str) -> None:
    if importlib.util.find_spec(peer) is None:
        pytest.skip(f"{peer} is not installed: scripts/setup.sh parsers")
    reader = PEERS[peer]()
    seen: Counter[str] = Counter()
    unexplained: list[str] = []
    for it in disagreements(quintette, peer, reader):
        names = [known.name for known in CLASSES if known.explains(it)]
        seen.update(names)
        if len(names) != 1:
            unexplained.append(f"{' and '.join(names) or 'no class'}: {it}")
    shown = "\n".join(sorted(unexplained, key=len)[:SHOWN_MAX])
    assert not unexplained, f"{len(unexplained)} of {sum(seen.values())}, for example\n{shown}"
    gone = [known.name for known in CLASSES if peer in known.peers and known.name not in seen]
    assert not gone, f"differences to {peer} that no longer occur"


def test_cuts(quintette: Quintette) -> None:
    """However a stream is cut, it is read the same. A fault may be told before its line is
    complete, so a stream that differs by that alone is compared with its line's end, too."""
    for data in Generator(SEED).streams(STREAMS):
        whole = quintette(data)
        for cut in (1, *CUTS):
            pieces = quintette(data, cut)
            if pieces == whole:
                continue
            assert pieces.messages == whole.messages, (data, cut)
            assert quintette(data + b"\r\n", cut) == quintette(data + b"\r\n"), (data, cut)


def test_each_class_has_one_name() -> None:
    assert len({known.name for known in CLASSES}) == len(CLASSES)


def test_page_has_the_table() -> None:
    """`python tests/conformance/parsers/parser_classes.py` prints it."""
    assert parser_classes.table() in PAGE.read_text(encoding="utf-8")


# --- that the comparison sees what it should ------------------------------------------


MUTANTS: dict[str, Callable[[Message], Message]] = {
    "method": lambda it: replace(it, method=b"PUT"),
    "target": lambda it: replace(it, target=b"/x"),
    "version": lambda it: replace(it, version="1.0"),
    "fields": lambda it: replace(it, fields=it.fields[1:]),
    "body": lambda it: replace(it, body=it.body[:-1]),
    "persists": lambda it: replace(it, persists=not it.persists),
    "we end": lambda it: replace(it, complete=False),
}


@pytest.mark.parametrize("kind", MUTANTS)
def test_a_difference_is_seen_and_unexplained(quintette: Quintette, kind: str) -> None:
    data = b"POST /a HTTP/1.1\r\nHost: h\r\nX-A: b\r\nContent-Length: 5\r\n\r\nhello"
    ours = quintette(data, 1)
    theirs = Reading([MUTANTS[kind](ours.messages[0])])
    found = list(compare("llhttp", data, ours, theirs))
    assert [it.kind for it in found] == [kind]
    assert not [known.name for known in CLASSES if known.explains(found[0])]


def test_a_smuggled_request_is_seen_and_unexplained(quintette: Quintette) -> None:
    data = b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n" + SENTINEL
    ours = quintette(data, 1)
    assert len(ours.messages) == 2
    for theirs, kind in (
        (Reading(ours.messages[:1]), "we accept"),
        (Reading([*ours.messages, ours.messages[1]]), "they accept"),
    ):
        found = list(compare("h11", data, ours, theirs))
        assert [it.kind for it in found] == [kind]
        assert not [known.name for known in CLASSES if known.explains(found[0])]
