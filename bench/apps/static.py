"""The static files: made once below build/, the same bytes for every server."""

from __future__ import annotations

import os
from pathlib import Path

SIZES = {"site-1k.css": 1024, "site-100k.css": 100 * 1024}
_RULE = ".card-{:05d}{{color:#1b2a41;margin:0 auto}}\n"


def static_root() -> Path:
    """Where the files are: the bench tells its servers by the environment."""
    return Path(os.environ["BENCH_STATIC_ROOT"])


def content(name: str) -> bytes:
    """Rules of CSS, cut at the file's size."""
    size = SIZES[name]
    rules = "".join(_RULE.format(number) for number in range(size // len(_RULE.format(0)) + 1))
    return rules[:size].encode()


def make(root: Path) -> None:
    root.mkdir(parents=True, exist_ok=True)
    for name in SIZES:
        (root / name).write_bytes(content(name))
