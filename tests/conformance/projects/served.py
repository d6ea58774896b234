"""A Django project's folder, its commands, and a server of it in a process of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import quintette

ROOT = Path(__file__).resolve().parents[3]
PYTHON = ROOT / "build" / "conformance" / "venv" / "bin" / "python"
PACKAGE_ROOT = Path(quintette.__path__[0]).parent
COMMAND_SECONDS = 120
START_SECONDS = 60
STOP_SECONDS = 10
URL = re.compile(r"http://127\.0\.0\.1:\d+/")

# Port 0: the kernel finds a free one, which both commands then tell.
SERVE = ("serve", "127.0.0.1:0", "--noreload")
RUNSERVER = ("runserver", "127.0.0.1:0", "--noreload")


def environment(settings: str | None = None) -> dict[str, str]:
    """`settings`: another module than manage.py has."""
    path = os.pathsep.join(filter(None, [str(PACKAGE_ROOT), os.environ.get("PYTHONPATH")]))
    return {
        **os.environ,
        "PYTHONPATH": path,
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        # Sets are written out in the same order by both servers.
        "PYTHONHASHSEED": "0",
        "DJANGO_SUPERUSER_PASSWORD": "correct horse",
        **({"DJANGO_SETTINGS_MODULE": settings} if settings else {}),
    }


def command(folder: Path, *arguments: str) -> None:
    """Runs ``python ARGUMENTS`` in the folder; what it said is in the error when it fails."""
    result = subprocess.run(
        [PYTHON, *arguments],
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )
    assert result.returncode == 0, f"{' '.join(arguments)}:\n{result.stdout}"


def manage(folder: Path, *arguments: str) -> None:
    command(folder, "manage.py", *arguments)


def prepared(source: Path, parent: Path) -> Path:
    """A copy of a project in this folder, with a migrated database."""
    project = parent / source.name
    shutil.copytree(source, project, ignore=shutil.ignore_patterns("__pycache__"))
    manage(project, "migrate", "--verbosity=0")
    return project


class Server:
    """``manage.py COMMAND`` of a project, from start to stop."""

    def __init__(self, folder: Path, *arguments: str, settings: str | None = None) -> None:
        self._log = folder / f"{arguments[0]}.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [PYTHON, "manage.py", *arguments],
                cwd=folder,
                env=environment(settings),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.url = ""

    def wait(self) -> None:
        """Until it has said where it listens."""
        end = time.monotonic() + START_SECONDS
        while not (found := URL.search(self.log())):
            assert self._process.poll() is None, self.log()
            assert time.monotonic() < end, f"no start in {START_SECONDS} s: {self.log()}"
            time.sleep(0.02)
        self.url = found[0].rstrip("/")

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
