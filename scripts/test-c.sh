#!/bin/sh
# Build and run the C tests of one CMake preset: test-c.sh dev|release|asan|tsan [CTEST_ARGUMENT...]
set -eu

cd "$(dirname "$0")/.."
preset=$1
shift
scripts/system-packages.sh test

jobs=$(nproc 2>/dev/null || echo 2)
[ -f "build/$preset/build.ninja" ] || cmake --preset "$preset" -Wno-dev >/dev/null
cmake --build --preset "$preset" -j "$jobs" >"build/$preset/build.log" 2>&1 ||
    { cat "build/$preset/build.log" >&2; exit 1; }
ctest --preset "$preset" -j "$jobs" "$@"
