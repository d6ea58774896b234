#!/bin/sh
# Build the extension in place: build-extension.sh BUILD_DIR OUTPUT_DIR [CMAKE_ARGUMENT...]
#
# Ninja does only what changed; nothing changed costs a few milliseconds.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
build=$1
output=$2
shift 2

[ -f "$root/binding/CMakeLists.txt" ] || { echo "binding/ is not there: pure Python only"; exit 0; }

# Two makes at once (an editor's and a shell's) must not run in one build directory.
mkdir -p "$build"
if command -v flock >/dev/null; then
    exec 9>"$build/.lock"
    flock 9
fi

python=$root/.venv/bin/python
settings="$("$python" -c 'import sys; print(sys.version, sys.base_prefix)') $output $*"
if [ ! -f "$build/build.ninja" ] || [ "$(cat "$build/.settings" 2>/dev/null)" != "$settings" ]; then
    rm -rf "$build/CMakeCache.txt" "$build/CMakeFiles"
    cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release "$@" \
        -DQ5_BUILD_BINDING=ON -DPython_EXECUTABLE="$python" -DQ5_BINDING_OUTPUT_DIR="$output" \
        >"$build/configure.log" 2>&1 || { cat "$build/configure.log" >&2; exit 1; }
    echo "$settings" >"$build/.settings"
fi
ninja -C "$build" _quintette >"$build/build.log" 2>&1 || { cat "$build/build.log" >&2; exit 1; }
