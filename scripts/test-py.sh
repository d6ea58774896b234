#!/bin/sh
# Run the Python tests: test-py.sh [--sanitizer NAMES] [--conformance | --endurance] [PYTEST_ARGUMENT...]
#
# The project's own tests in three processes side by side, then those of the example project, since a
# process has one Django settings module. With arguments: one run, of the project's own tests.
# With --conformance: one run, of tests/conformance alone, which no other run looks into.
# Tests that need PostgreSQL (DATABASE_URL, else 127.0.0.1:5432) skip themselves where none answers;
# the last lines count and name them. scripts/postgresql.sh starts a server for them.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
python=$root/.venv/bin/python
sanitizer=""
select="not conformance and not endurance"
folders=tests/py
ignored=""
servers=tests/py/server
while [ $# -gt 0 ]; do
    case $1 in
    --sanitizer) sanitizer=$2; shift 2 ;;
    --conformance) select=conformance folders=tests/conformance; shift ;;
    --endurance) select=endurance; shift ;;
    *) break ;;
    esac
done

if [ -n "$sanitizer" ]; then
    # Of Python alone, of other programs, of figures that say nothing here, or the same many times.
    select="$select and not slow"
    for path in bench checks test_docs.py api/test_stream_leaks.py; do
        ignored="$ignored --ignore tests/py/$path"
    done
    # A server takes seconds to start here. One of those in tests/py/api answers all of its tests.
    servers="tests/py/server/test_attacks.py tests/py/server/test_traffic_attacks.py"
    # A second copy of the package, of links, so that the sanitized extension
    # does not take the place of the ordinary one.
    shadow=$root/build/asan-py/python
    rm -rf "$shadow"
    mkdir -p "$shadow"
    cp -rs "$root/python/quintette" "$shadow/quintette"
    find "$shadow" \( -name '*.so' -o -name __pycache__ \) -prune -exec rm -rf {} +
    scripts/build-extension.sh build/asan-py "$shadow/quintette" \
        -DCMAKE_BUILD_TYPE=RelWithDebInfo -DQ5_SANITIZE="$sanitizer"
    PYTHONPATH=$shadow${PYTHONPATH:+:$PYTHONPATH}
    # Of the ways in which an API is served, those that differ in C are enough (tests/py/api/conftest.py).
    export PYTHONPATH PYTHONMALLOC=malloc QUINTETTE_SANITIZED=1
    # CPython does not free everything at exit, so leaks are looked for in the C tests.
    # Reports go to files as well, so that one from a server's process, whose standard
    # error a test may hold, is not missed.
    reports=$root/build/asan-py/report
    rm -f "$reports".*
    # greenlet moves slices of the stack (cmake/Warnings.cmake), so frames must be on the real one.
    export ASAN_OPTIONS="detect_leaks=0:detect_stack_use_after_return=0:log_path=$reports:${ASAN_OPTIONS:-}"
    export UBSAN_OPTIONS="print_stacktrace=1:log_path=$reports:${UBSAN_OPTIONS:-}"
    # libstdc++ with them: greenlet is C++, and libasan looks for __cxa_throw when the process begins.
    preload=""
    for library in libasan.so libubsan.so libstdc++.so; do
        preload="$preload $(${CC:-cc} -print-file-name=$library)"
    done
fi

pytest() { # with the sanitizers' libraries loaded first, into pytest and what it starts
    if [ -z "$sanitizer" ]; then
        "$python" -m pytest "$@"
    else
        LD_PRELOAD=$preload "$python" -m pytest --capture=sys "$@"
    fi
}

# The tests in three processes side by side, of like length: those of servers wait more than they
# work. They share neither files nor databases. What the first two print comes behind the third.
# shellcheck disable=SC2086  # $ignored and $servers are lists
lanes() {
    mkdir -p build
    pytest -m "$select" tests/py/api $ignored >build/test-py-api.log 2>&1 &
    api=$!
    pytest -m "$select" $servers tests/py/django $ignored >build/test-py-server.log 2>&1 &
    server=$!
    failed=0
    pytest -m "$select" tests/py --ignore tests/py/api --ignore tests/py/server \
        --ignore tests/py/django $ignored || failed=$?
    wait "$api" || failed=$?
    wait "$server" || failed=$?
    cat build/test-py-api.log build/test-py-server.log
    return "$failed"
}

status=0
if [ $# -gt 0 ] || [ "$folders" != tests/py ] || [ "$select" = endurance ]; then
    # "testpaths" is what pytest runs where no argument names a file or folder.
    pytest -m "$select" -o testpaths="$folders" "$@" || status=$?
else
    lanes || status=$?
    [ -n "$sanitizer" ] || pytest examples/atlas || status=$?
fi
if [ -n "$sanitizer" ]; then
    for report in "$reports".*; do
        [ -f "$report" ] || continue
        cat "$report"
        status=1
    done
fi
exit "$status"
