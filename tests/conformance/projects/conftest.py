from __future__ import annotations

import json
import subprocess

import pytest
from served import PYTHON

VERSIONS = """
import importlib.metadata, json, sys
versions = {}
for name in sys.argv[1:]:
    try:
        versions[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        pass
print(json.dumps(versions))
"""
PACKAGES = ("Django", "wagtail", "djangorestframework", "django-ninja")


def installed() -> dict[str, str]:
    """Name and version of each of PACKAGES that ``make conformance`` could install."""
    if not PYTHON.exists():
        return {}
    output = subprocess.run([PYTHON, "-c", VERSIONS, *PACKAGES], check=True, capture_output=True)
    versions: dict[str, str] = json.loads(output.stdout)
    return versions


def pytest_report_header() -> str:
    found = [f"{name} {version}" for name, version in installed().items()]
    return f"conformance: {', '.join(found) or 'no packages installed'}"


@pytest.fixture(scope="session")
def versions() -> dict[str, str]:
    return installed()


@pytest.fixture(scope="module")
def needs(request: pytest.FixtureRequest, versions: dict[str, str]) -> None:
    """Skips a module whose NEEDS, a name of PACKAGES, is missing."""
    name = request.module.NEEDS
    if name not in versions:
        pytest.skip(f"{name} is not installed: `make conformance` could not reach the index")
