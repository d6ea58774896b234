#!/bin/sh
# Make .venv and install what pyproject.toml names: setup.sh EXTRA...
#
# VENV=... is another virtual environment than .venv, for what should not mix with it.
# The stamp holds a hash of pyproject.toml and the interpreter, so that the second run
# costs milliseconds, and a changed dependency or a PYTHON=... of your own is noticed.
# The package itself is not installed: a .pth file puts python/ on the path, and
# scripts/build-extension.sh builds the extension in place.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
venv=${VENV:-$root/.venv}

"$root/scripts/system-packages.sh" build

stamp_now() { # the interpreter behind .venv, the extras, the file
    echo "$1 $2 $(sha256sum <"$root/pyproject.toml" | cut -c1-64)"
}

extras=$(echo "$*" | tr ' ' ,)
stamp=$venv/.setup-$extras

# Without a wish for an interpreter, one that once was found stays.
base=$(cat "$venv/.base" 2>/dev/null || true)
if [ -n "${PYTHON:-}" ]; then
    wanted=$(command -v "$PYTHON")
elif [ -n "$base" ] && [ -x "$base" ] && "$venv/bin/python" -c '' 2>/dev/null; then
    wanted=$base
else
    wanted=$("$root/scripts/find-python.sh") ||
        { echo "No usable Python 3.11 to 3.14 was found." >&2; exit 1; }
fi

if [ "$base" != "$wanted" ] || ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    echo "Making ${venv#"$root/"} with $("$wanted" --version) ($wanted)"
    "$wanted" -m venv --clear "$venv"
    site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    echo "$root/python" >"$site/quintette-dev.pth"
    echo "$wanted" >"$venv/.base"
fi

if [ "$(cat "$stamp" 2>/dev/null)" != "$(stamp_now "$wanted" "$extras")" ]; then
    echo "Installing Python packages ($extras)"
    "$venv/bin/python" "$root/scripts/requirements.py" "$@" >"$venv/requirements.txt"
    "$venv/bin/python" -m pip install -qq --disable-pip-version-check \
        --upgrade --requirement "$venv/requirements.txt"
    stamp_now "$wanted" "$extras" >"$stamp"
fi
