"""The project of the database cases with Quintette.

``BENCH_ROUTES`` is ``async``, ``sync``, ``msgspec``, ``compiled`` or ``shapes``;
``BENCH_SYNC_VIEWS`` where synchronous views run; ``BENCH_THREADS`` is ``default`` for as many
threads as `manage.py serve` takes by itself.
"""

from __future__ import annotations

import os

from bench.apps.db import places
from bench.apps.db.settings import *  # noqa: F403
from bench.apps.db.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "quintette"]
QUINTETTE: dict[str, object] = {
    "ACCESS_LOG": False,
    "REQUESTS_PER_CONNECTION": 1_000_000_000,
    "THREADS": places.POOL,
}
if os.environ.get("BENCH_THREADS") == "default":
    del QUINTETTE["THREADS"]
if "BENCH_SYNC_VIEWS" in os.environ:
    QUINTETTE["SYNC_VIEWS"] = os.environ["BENCH_SYNC_VIEWS"]
ROOT_URLCONF = {
    "async": "bench.apps.db.quintette_async",
    "sync": "bench.apps.db.urls",
    "msgspec": "bench.apps.db.quintette_msgspec",
    "compiled": "bench.apps.db.quintette_compiled",
    "shapes": "bench.apps.db.quintette_shapes",
}[os.environ.get("BENCH_ROUTES", "async")]
