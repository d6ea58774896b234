"""Check what no linter does: the size of files and functions, and the core's independence.

- no file of ours is longer than 1,000 lines;
- no C function is longer than 70 lines, unless a comment `/* long: reason */` stands
  on the lines above it or in it;
- nothing in lib/ or include/ names Python.h, and nothing in lib/ outside lib/io names a
  header of the operating system's that does I/O or tells the time.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FILE_LINES_MAX = 1000
FUNCTION_LINES_MAX = 70
SOURCES = {".c", ".h", ".py", ".sh", ".html", ".css", ".js", ".cmake"}
C_FOLDERS = ("lib/", "include/", "binding/", "tests/c/", "fuzz/", "examples/c/", "bench/")
C_CODE = {".c", ".h"}

PYTHON_HEADER = re.compile(r"^\s*#\s*include\s*[<\"].*\bPython\.h", re.MULTILINE)
# <arpa/inet.h> is none: the texts of addresses are no I/O.
IO_HEADER = re.compile(
    r"^\s*#\s*include\s*<(sys/(?:socket|epoll|event|stat|mman|sendfile|time|uio|wait|types)"
    r"|unistd|fcntl|poll|time|signal|netdb|netinet/\w+|pthread|threads)\.h>",
    re.MULTILINE,
)
# With our .clang-format a function's head starts in the first column, its continuation lines
# are indented, its last line ends with ") {", and "}" in the first column closes the body.
HEAD = re.compile(r"[A-Za-z_]")
NAME = re.compile(r"\b(?!__attribute__)([A-Za-z_]\w*)\s*\(")


def tracked() -> Iterator[Path]:
    """Files that git knows or would add."""
    output = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for line in output.splitlines():
        path = ROOT / line
        if path.suffix in SOURCES and path.is_file():
            yield path


def c_functions(lines: list[str]) -> Iterator[tuple[int, int, str]]:
    """(first line, last line, name) of each function, lines counted from 1."""
    head = 0
    inside = False
    for number, line in enumerate(lines, 1):
        if line.startswith("}"):
            if inside:
                name = NAME.search(" ".join(lines[head - 1 : number]))
                yield head, number, name[1] if name else "?"
            head, inside = 0, False
        elif inside:
            continue
        elif HEAD.match(line):
            head = number
        if line.startswith("#") or line.endswith(";"):
            head = 0
        elif head and line.endswith(") {"):
            inside = True


def problems(path: Path) -> Iterator[str]:
    name = path.relative_to(ROOT).as_posix()
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    if len(lines) > FILE_LINES_MAX:
        yield f"{name}: {len(lines)} lines, and {FILE_LINES_MAX} are enough"
    if path.suffix not in C_CODE:
        return
    if name.startswith(("lib/", "include/")) and PYTHON_HEADER.search(text):
        yield f"{name}: the core does not know Python"
    if name.startswith("lib/") and not name.startswith("lib/io/"):
        for match in IO_HEADER.finditer(text):
            yield f"{name}: <{match[1]}.h> belongs in lib/io"
    if name.startswith(C_FOLDERS):
        for first, last, function in c_functions(lines):
            length = last - first + 1
            explained = "/* long:" in "\n".join(lines[max(0, first - 6) : last])
            if length > FUNCTION_LINES_MAX and not explained:
                yield f"{name}:{first}: {function}() has {length} lines, {FUNCTION_LINES_MAX} fit"


def main() -> int:
    found = [problem for path in tracked() for problem in problems(path)]
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
