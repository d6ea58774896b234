"""Who is told of the reads that go around Django's cursors (`quintette.db.postgresql.reading`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

# One of Django's execute wrappers, which `quintette.db.watch` has put in place and which changes
# nothing; None: nobody. Where Django's connections have it these reads are not Django's alone.
watch: Callable[..., Any] | None = None
