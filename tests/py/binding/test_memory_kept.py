"""What was freed stays with a process that serves."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest
from wire import sanitized

from quintette import _quintette

# Page faults of fifty blocks of 1 MiB that are written to and freed.
COUNT = """
import resource, sys
from quintette import _quintette
if sys.argv[1] != "0":
    _quintette.keep_freed_memory(int(sys.argv[1]))
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
bytearray(1 << 20)
before = faults()
for _ in range(50):
    block = bytearray(b"x") * (1 << 20)
    del block
print(faults() - before)
"""


def page_faults(size: int) -> int:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    command = [sys.executable, "-c", COUNT, str(size)]
    # By default glibc's first large free raises the threshold: 128 KiB is what it begins with.
    if not size:
        clean["MALLOC_TRIM_THRESHOLD_"] = "131072"
    done = subprocess.run(command, env=clean, capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc's allocator")
@pytest.mark.skipif(sanitized(), reason="the sanitizer brings its own allocator")
def test_freed_memory_is_not_faulted_in_again() -> None:
    assert page_faults(8 << 20) < page_faults(0) / 4


@pytest.mark.parametrize("size", [-1, (32 << 20) + 1])
def test_bounds(size: int) -> None:
    with pytest.raises(ValueError, match="size must be"):
        _quintette.keep_freed_memory(size)
