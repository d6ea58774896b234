"""Check what is in the sdist and in the wheel: check_dist.py SDIST WHEEL.

The sdist must have every tracked file that a build from source reads, and nothing else;
the wheel every module of the package and the extension.
"""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SHIPPED_FOLDERS = ("binding/", "cmake/", "include/", "lib/", "python/")
SHIPPED_FILES = {"CMakeLists.txt", "LICENSE", "README.md", "pyproject.toml"}
ADDED_BY_THE_BACK_END = {"PKG-INFO", ".gitignore"}


def tracked() -> set[str]:
    """What git knows or would add: a new file must not wait for its commit."""
    output = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return {line for line in output.splitlines() if (ROOT / line).is_file()}


def sdist_problems(path: str) -> list[str]:
    with tarfile.open(path) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()} - {""}
    inside = {name for name in inside if name not in ADDED_BY_THE_BACK_END}
    wanted = {
        name for name in tracked() if name.startswith(SHIPPED_FOLDERS) or name in SHIPPED_FILES
    }
    return [f"sdist: {name} is missing" for name in sorted(wanted - inside)] + [
        f"sdist: {name} has no business there" for name in sorted(inside - wanted)
    ]


def wheel_problems(path: str) -> list[str]:
    with zipfile.ZipFile(path) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}
    extensions = {name for name in inside if name.endswith(".so")}
    wanted = {
        name.removeprefix("python/") for name in tracked() if name.startswith("python/quintette/")
    }
    found = [f"wheel: {name} is missing" for name in sorted(wanted - inside)]
    found += [
        f"wheel: {name} has no business there" for name in sorted(inside - wanted - extensions)
    ]
    if [name.partition(".")[0] for name in extensions] != ["quintette/_quintette"]:
        found.append(f"wheel: the extensions are {sorted(extensions)}")
    return found


if __name__ == "__main__":
    problems = sdist_problems(sys.argv[1]) + wheel_problems(sys.argv[2])
    print("\n".join(problems), end="\n" if problems else "")
    sys.exit(1 if problems else 0)
