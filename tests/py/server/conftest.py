from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from projects import Project, Served


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.fixture
def serve(project: Project) -> Iterator[Callable[..., Served]]:
    started: list[Served] = []

    def start(*arguments: str, wait: bool = True) -> Served:
        served = Served(project, *arguments)
        started.append(served)
        if wait:
            served.wait_for_url()
        return served

    yield start
    for served in started:
        if served.process.poll() is None:
            served.process.terminate()
            try:
                served.process.wait(10)
            except subprocess.TimeoutExpired:
                served.process.kill()
                served.process.wait()
