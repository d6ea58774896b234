"""What ends the bench lets it end its servers first."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
ENDED_WHILE_STOPPING = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
# Under nohup, as CI may be, it is ignored.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
from bench.signals import exit_on_termination
exit_on_termination()
try:
    os.kill(os.getpid(), int(sys.argv[1]))
finally:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(os.getpid(), number)
    print("servers are stopped", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_only_the_first_signal_interrupts(number: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ENDED_WHILE_STOPPING, str(int(number))],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "servers are stopped\n"
    assert done.returncode in (128 + number, -number)
