"""Programs of bench/c and bench/load that tests run."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def delay_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The relay that puts a database further away."""
    if sys.platform != "linux":
        pytest.skip("the relay needs epoll")
    if shutil.which("cmake") is None:
        pytest.skip("cmake is not installed")
    folder = tmp_path_factory.mktemp("delay")
    for command in (
        ["cmake", "-S", str(ROOT), "-B", str(folder), "-DQ5_BUILD_BENCH=ON", "-Wno-dev"],
        ["cmake", "--build", str(folder), "--target", "delay"],
    ):
        subprocess.run(command, check=True, capture_output=True)
    return folder / "bench" / "c" / "delay"


@pytest.fixture(scope="session")
def load_programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the load generators."""
    if sys.platform != "linux":
        pytest.skip("the generators need epoll")
    if shutil.which("cmake") is None:
        pytest.skip("cmake is not installed")
    folder = tmp_path_factory.mktemp("bench") / "load"
    for command in (
        ["cmake", "-S", str(ROOT / "bench" / "load"), "-B", str(folder)],
        ["cmake", "--build", str(folder)],
    ):
        subprocess.run(command, check=True, capture_output=True)
    return folder
