#!/bin/sh
# Every formatter, linter and type checker: lint.sh [--fix | --deep]
#
# All of them run, whatever the first one says; the exit status is the worst.
# clang's analyzer looks at a bounded number of states per function, lest it take most of the time;
# --deep gives it clang's own bound, with which it takes six times as long.
set -u

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root" || exit 1
scripts/system-packages.sh lint || exit 1
bin=.venv/bin
failed=""
analyzer_nodes=20000
[ "${1:-}" != --deep ] || analyzer_nodes=225000

check() { # check NAME COMMAND...
    name=$1
    shift
    if output=$("$@" 2>&1); then
        echo "ok      $name"
    else
        printf '%s\n' "$output"
        echo "FAILED  $name"
        failed="$failed $name"
    fi
}

c_files() { # c_files FOLDER...: tracked or new, not ignored, sources and headers
    git ls-files --cached --others --exclude-standard -- "$@" | grep '\.[ch]$' |
        while read -r file; do [ ! -f "$file" ] || echo "$file"; done
}

clang_tidy() { # needs the compile commands of a build with the extension
    scripts/build-extension.sh build/ext python/quintette &&
        c_files lib binding | grep '\.c$' |
        xargs -P "$(nproc)" -n 1 "$(scripts/clang-tool.sh clang-tidy)" -p build/ext --quiet \
            --extra-arg=-Xclang --extra-arg=-analyzer-config \
            --extra-arg=-Xclang --extra-arg=max-nodes="$analyzer_nodes"
}

typed_atlas() { # from its own folder, with Django's plugin
    (cd examples/atlas && MYPYPATH=$root/python "$root/$bin/mypy" --config-file mypy.ini .)
}

if [ "${1:-}" = --fix ]; then
    $bin/ruff check --fix --quiet .
    $bin/ruff format --quiet .
    # shellcheck disable=SC2046  # a list of names
    "$(scripts/clang-tool.sh clang-format)" -i $(c_files lib include binding tests/c tests/conformance fuzz examples bench)
fi

check "ruff check" $bin/ruff check --quiet .
check "ruff format" $bin/ruff format --check --quiet .
check "mypy quintette" $bin/mypy python/quintette
check "mypy bench" $bin/mypy bench --exclude 'bench/(apps|instructions)'
check "mypy atlas" typed_atlas
# shellcheck disable=SC2046  # a list of names
check "clang-format" "$(scripts/clang-tool.sh clang-format)" --dry-run -Werror \
    $(c_files lib include binding tests/c tests/conformance fuzz examples bench)
check "clang-tidy" clang_tidy
check "tree" $bin/python scripts/check_tree.py

[ -z "$failed" ] || { echo "Failed:$failed"; exit 1; }
