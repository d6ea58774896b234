#!/bin/sh
# Build what counts and count: bench-instructions.sh [ARGUMENT OF bench/instructions/run.py...]
set -eu

cd "$(dirname "$0")/.."
build=build/instructions

[ -f "$build/build.ninja" ] || cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release \
    -DQ5_BUILD_BENCH=ON -Wno-dev >/dev/null
ninja -C "$build" instructions >"$build/build.log" 2>&1 || { cat "$build/build.log" >&2; exit 1; }
.venv/bin/python bench/instructions/run.py --build "$build" "$@"
