"""The examples of the documentation, run as they stand.

A ```python block after the line <!-- test --> is run; the blocks of one document run one after
the other in one module, in a process of its own, with Django set up, an empty SQLite file, and that
module as URLconf.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^<!-- test -->\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
DOCUMENTS = [
    path
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
    if BLOCK.search(path.read_text(encoding="utf-8"))
]
TIMEOUT_S = 60


def code_of(text: str) -> str:
    """The blocks' code, each line with the number that it has in the document."""
    lines = [""] * (text.count("\n") + 1)
    for block in BLOCK.finditer(text):
        first = text.count("\n", 0, block.start(1))
        code = block[1].splitlines()
        lines[first : first + len(code)] = code
    return "\n".join(lines)


def run(path: Path, database: Path) -> None:
    """Run the document's blocks in this process."""
    import django
    from django.conf import settings

    settings.configure(
        ALLOWED_HOSTS=["testserver"],
        DATABASES={"default": {"ENGINE": "quintette.db.sqlite3", "NAME": str(database)}},
        INSTALLED_APPS=[
            "quintette",
            "quintette.apikeys",
            "quintette.auth",
            "django.contrib.contenttypes",
            "django.contrib.auth",
            "django.contrib.sessions",
        ],
        ROOT_URLCONF="__main__",
        SECRET_KEY="for the documentation's tests",
    )
    django.setup()
    exec(compile(code_of(path.read_text(encoding="utf-8")), str(path), "exec"), globals())


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_examples(path: Path) -> None:
    result = subprocess.run(
        [sys.executable, __file__, str(path)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert result.returncode == 0, result.stderr


def test_line_numbers_are_the_documents() -> None:
    text = "# Title\n\n<!-- test -->\n```python\nx = 1\n```\n\n```python\nnot run\n```\n"
    assert code_of(text).splitlines() == ["", "", "", "", "x = 1", *[""] * 5][:10]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        run(Path(sys.argv[1]), Path(folder, "db.sqlite3"))
