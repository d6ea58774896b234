"""``python -m over_engine [--bridge] TESTS_FOLDER RESULTS_FILE ARGUMENT...``

Django's runtests.py with these arguments and our settings, in the way of every Django project, or,
with --bridge, each test in a greenlet on a running event loop.
"""

from __future__ import annotations

import faulthandler
import os
import runpy
import sys
from pathlib import Path

from over_quintette import results

# Less than what the caller waits: where it hangs is worth knowing.
STUCK_SECONDS = 840


def main() -> None:
    in_bridge = sys.argv[1] == "--bridge"
    tests, output, *arguments = sys.argv[1 + in_bridge :]
    script = Path(tests) / "runtests.py"
    sys.argv = [str(script), "--settings=over_engine.settings", *arguments]
    sys.path.insert(0, str(script.parent))
    results.install(Path(output))
    faulthandler.dump_traceback_later(STUCK_SECONDS, exit=True)
    if os.environ["ENGINE_UNDER_TEST"].startswith("quintette."):
        from over_engine import statements

        statements.install()
    if in_bridge:
        from over_engine import bridge

        bridge.install()
    runpy.run_path(str(script), run_name="__main__")


if __name__ == "__main__":
    main()
