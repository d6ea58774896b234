#!/bin/sh
# Make sure that the system packages of a goal are there: system-packages.sh GOAL
#
#   build          what the extension needs
#   test           and the C tests
#   lint           clang-format and clang-tidy
#   fuzz           clang and its runtime
#   bench          wrk and nginx
#   instructions   what counts them: valgrind with its headers
#
# Asks for the thing itself, not for the package, so that any way of having it will do.
# Installs what is missing by apt as root; otherwise prints the one line to run and fails.
set -eu

here=$(dirname "$0")
missing=""

need() { # need PACKAGES CHECK...
    packages=$1
    shift
    "$@" >/dev/null 2>&1 || missing="$missing $packages"
}

compiles() { # compiles HEADER: is it there for the C compiler?
    printf '#include <%s>\n' "$1" | ${CC:-cc} -E - 2>/dev/null
}

build_needs() {
    need "gcc libc6-dev" compiles stdio.h
    need cmake command -v cmake
    need ninja-build command -v ninja
    need pkg-config command -v pkg-config
    need libpq-dev pkg-config --exists libpq
    need libsqlite3-dev compiles sqlite3.h
    need zlib1g-dev pkg-config --exists zlib
    need libbrotli-dev pkg-config --exists libbrotlienc
    need libzstd-dev pkg-config --exists libzstd
    need libssl-dev compiles openssl/evp.h
    need "python3 python3-dev python3-venv" python_found
}

python_found() {
    [ -n "${PYTHON:-}" ] || "$here/find-python.sh"
}

clang_runtime() { # libclang_rt.fuzzer and the sanitizers' archives
    folder=$("$("$here/clang-tool.sh" clang)" -print-resource-dir)
    ls "$folder"/lib/*/libclang_rt.fuzzer*.a
}

runtime_package() { # Debian names it after the version: libclang-rt-14-dev
    if tool=$("$here/clang-tool.sh" clang); then
        "$tool" -dumpversion | sed 's/\..*//; s/.*/libclang-rt-&-dev/'
    else
        apt-cache depends clang 2>/dev/null |
            sed -n 's/.*Depends: clang-\([0-9]*\)$/libclang-rt-\1-dev/p' | head -n 1
    fi
}

goal_needs() {
    missing=""
    case $1 in
    build) build_needs ;;
    test)
        build_needs
        need libcmocka-dev compiles_cmocka
        ;;
    lint)
        need clang-format "$here/clang-tool.sh" clang-format
        need clang-tidy "$here/clang-tool.sh" clang-tidy
        ;;
    instructions)
        build_needs
        need valgrind callgrind_found
        ;;
    fuzz)
        build_needs
        need clang "$here/clang-tool.sh" clang
        need "$(runtime_package)" clang_runtime
        ;;
    bench)
        build_needs
        need wrk command -v wrk
        need nginx-light nginx_found
        ;;
    *)
        echo "system-packages.sh: unknown goal $1" >&2
        exit 2
        ;;
    esac
}

nginx_found() { # Debian keeps it out of an ordinary user's PATH
    command -v nginx || [ -x /usr/sbin/nginx ]
}

callgrind_found() { command -v valgrind && compiles valgrind/callgrind.h; }

compiles_cmocka() { pkg-config --exists cmocka; }

goal_needs "$1"
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing:$missing" >&2
    apt-get update -qq >/dev/null
    goal_needs "$1" # the name of clang's runtime may be known only now
    # shellcheck disable=SC2086  # a list of names
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq -o Dpkg::Use-Pty=0 \
        --no-install-recommends $missing >/dev/null
    goal_needs "$1"
    [ -z "$missing" ] || { echo "Still missing after the installation:$missing" >&2; exit 1; }
else
    echo "System packages are missing. Install them, then try again:" >&2
    echo "    sudo apt-get install --no-install-recommends$missing" >&2
    exit 1
fi
