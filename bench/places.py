"""Where things are."""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
BUILD = ROOT / "build" / "bench"
STATIC = BUILD / "static"
DOCS = ROOT / "docs"
RESULTS = HERE / "results"
