"""What ``serve --reload`` starts: manage.py, with an eye on how it fails.

Run by path, before anything of the project is imported, so it uses the standard library alone:
even a mistake in the settings must be shown, and the files be known whose change may mend it.

    child.py FD script manage.py ARGUMENT...
    child.py FD module django ARGUMENT...
"""

from __future__ import annotations

import json
import os
import runpy
import sys
import traceback
from types import TracebackType

# Exit status of a child that could not load the project.
FAILED = 3


def tell(fd: int, message: dict[str, object]) -> None:
    """One JSON object per line; the parent reads them."""
    data = json.dumps(message).encode() + b"\n"
    while data:
        data = data[os.write(fd, data) :]


def loaded_files() -> list[str]:
    files = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    return sorted(file for file in files if file)


def files_of(error: BaseException | None) -> set[str]:
    """Where an error, and what it came from, was raised; also files that were never imported."""
    files: set[str] = set()
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        files.update(frame.filename for frame in traceback.extract_tb(error.__traceback__))
        if isinstance(error, SyntaxError) and error.filename:
            files.add(error.filename)
        error = error.__cause__ or error.__context__
    return {file for file in files if os.path.exists(file)}


def _without_own_frames(tb: TracebackType | None) -> TracebackType | None:
    while tb is not None and (
        tb.tb_frame.f_code.co_filename in {__file__, runpy.__file__}
        or tb.tb_frame.f_code.co_filename.startswith("<frozen runpy")
    ):
        tb = tb.tb_next
    return tb


def main() -> None:
    fd, kind, target = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    sys.argv = sys.argv[3:]
    os.environ["QUINTETTE_RELOAD_FD"] = str(fd)
    try:
        if kind == "script":
            sys.path[0] = os.path.dirname(os.path.abspath(target))
            runpy.run_path(target, run_name="__main__")
        else:
            sys.path[0] = os.getcwd()
            runpy.run_module(target, run_name="__main__", alter_sys=True)
    except SystemExit as error:
        if error.code not in (None, 0):
            tell(fd, {"files": sorted({*loaded_files(), *files_of(error)})})
        raise
    except KeyboardInterrupt:
        sys.exit(0)
    except BaseException as error:
        sys.stdout.flush()
        traceback.print_exception(type(error), error, _without_own_frames(error.__traceback__))
        tell(fd, {"files": sorted({*loaded_files(), *files_of(error)})})
        sys.exit(FAILED)


if __name__ == "__main__":
    main()
