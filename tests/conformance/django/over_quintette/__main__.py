"""``python -m over_quintette [--plain] TESTS_FOLDER RESULTS_FILE ARGUMENT...``

Django's runtests.py with these arguments, over Quintette, or, with --plain, as Django has it.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

from over_quintette import handlers, live, middleware, request, results


def main() -> None:
    plain = sys.argv[1] == "--plain"
    tests, output, *arguments = sys.argv[1 + plain :]
    script = Path(tests) / "runtests.py"
    sys.argv = [str(script), *arguments]
    sys.path.insert(0, str(script.parent))
    results.install(Path(output))
    if not plain:
        handlers.install()
        request.install()
        live.install()
        middleware.install()
    runpy.run_path(str(script), run_name="__main__")


if __name__ == "__main__":
    main()
