"""An event that the kernel has handed over, of a watch that has ended since."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CC = shutil.which(os.environ.get("CC", "cc"))

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="of epoll"),
    pytest.mark.skipif(CC is None, reason="needs a C compiler"),
]


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = tmp_path_factory.mktemp("shim") / "epoll_pause.so"
    source = HERE / "epoll_pause.c"
    subprocess.run([str(CC), "-shared", "-fPIC", "-o", built, source, "-ldl"], check=True)
    return built


@pytest.mark.parametrize("kind", ["fd_wait", "registration"])
def test_ends_in_another_thread_while_its_event_is_on_the_way(kind: str, shim: Path) -> None:
    done = subprocess.run(
        [sys.executable, HERE / "dropped_watch.py", kind],
        env={
            **os.environ,
            "LD_PRELOAD": f"{os.environ.get('LD_PRELOAD', '')} {shim}".strip(),
            # Freed memory is filled with what is no address.
            "PYTHONMALLOC": "debug",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "survived\n"), done.stderr
