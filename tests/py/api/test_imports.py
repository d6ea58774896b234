"""What importing the typed API costs a project that does not use all of it."""

from __future__ import annotations

import subprocess
import sys


def test_optional_libraries_are_not_imported() -> None:
    code = (
        "import sys, quintette; from quintette import API;"
        "import quintette.api.plans, quintette.api.results;"
        "print(sorted({'attr', 'attrs', 'pydantic', 'pydantic_core'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
