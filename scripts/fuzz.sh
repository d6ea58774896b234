#!/bin/sh
# Fuzz the parsers one after the other: FUZZ_TIME=seconds fuzz.sh [NAME_PART]
#
# What is found new stays in build/fuzz-corpus/; fuzz/corpus/ is only read. A crash is
# written to build/fuzz-crash-*: make it a named file of fuzz/corpus/ with the fix.
set -eu

cd "$(dirname "$0")/.."
scripts/system-packages.sh fuzz

[ -f build/fuzz/build.ninja ] ||
    cmake --preset fuzz -DCMAKE_C_COMPILER="$(scripts/clang-tool.sh clang)" >/dev/null
cmake --build --preset fuzz >build/fuzz/build.log 2>&1 ||
    { cat build/fuzz/build.log >&2; exit 1; }

count=0
for program in build/fuzz/fuzz/fuzz_*"${1:-}"*; do
    [ -x "$program" ] || continue
    name=$(basename "$program")
    parser=${name#fuzz_}
    new=build/fuzz-corpus/$parser
    mkdir -p "$new"
    set -- "$new"
    [ -d "fuzz/corpus/$parser" ] && set -- "$@" "fuzz/corpus/$parser"
    [ -f "fuzz/dict/$parser.dict" ] && set -- "-dict=fuzz/dict/$parser.dict" "$@"
    echo "== $name, ${FUZZ_TIME:-30} s"
    "$program" -max_total_time="${FUZZ_TIME:-30}" -timeout=10 -rss_limit_mb=2048 -verbosity=0 \
        -print_final_stats=1 "-artifact_prefix=build/fuzz-crash-$parser-" "$@" \
        2>"build/fuzz/$name.log" || { tail -n 60 "build/fuzz/$name.log"; exit 1; }
    sed -n 's/^stat::\(number_of_executed_units\|new_units_added\): */   \1 /p' \
        "build/fuzz/$name.log"
    count=$((count + 1))
done
[ "$count" -gt 0 ] || { echo "No fuzz target's name has '${1:-}' in it." >&2; exit 1; }
