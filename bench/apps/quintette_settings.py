"""The project with Quintette: its typed routes before the plain views.

``BENCH_ROUTES`` says which: ``urls``, or those of one kind of case.
"""

from __future__ import annotations

import os

from bench.apps.site.settings import *  # noqa: F403
from bench.apps.site.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "quintette"]
ROOT_URLCONF = f"bench.apps.quintette_{os.environ.get('BENCH_ROUTES', 'urls')}"
QUINTETTE = {"ACCESS_LOG": False, "REQUESTS_PER_CONNECTION": 1_000_000_000}
