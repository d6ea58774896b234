#!/bin/sh
# Run the bench: bench.sh [ARGUMENT...]; see python -m bench --help
#
# Its packages (the peers) live in an environment of their own, build/bench/venv, made with the
# interpreter of .venv, whose build of the extension it uses. A stamp with a hash of
# pyproject.toml makes the second run quick; `bench.sh --upgrade` looks for new versions.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
venv=$root/build/bench/venv
base=$(cat .venv/.base)
python=$venv/bin/python

stamp_now() {
    echo "$base $(sha256sum <pyproject.toml | cut -c1-64)"
}

# A peer that does not install must not keep the others from being measured: each package
# is installed by itself if all together fail.
install() {
    list=$venv/requirements.txt
    .venv/bin/python scripts/requirements.py bench >"$list"
    pip="$python -m pip install -q --disable-pip-version-check --upgrade"
    $pip --requirement "$list" 2>"$venv/install.log" && return
    cat "$venv/install.log" >&2
    while read -r package; do
        $pip "$package" 2>>"$venv/install.log" || echo "LEFT OUT: $package does not install" >&2
    done <"$list"
}

if [ "${1:-}" = --upgrade ]; then
    shift
    rm -f "$venv/.stamp"
fi
if [ "$(cat "$venv/.stamp" 2>/dev/null)" != "$(stamp_now)" ]; then
    echo "Installing the peers into build/bench/venv" >&2
    [ -x "$python" ] && [ "$(cat "$venv/.base" 2>/dev/null)" = "$base" ] ||
        "$base" -m venv --clear "$venv"
    echo "$base" >"$venv/.base"
    site=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    echo "$root/python" >"$site/quintette-bench.pth"
    install
    stamp_now >"$venv/.stamp"
fi

# The limits of the machine, and the load generator for fixed rates.
scripts/system-packages.sh bench || echo "Measuring without what is missing." >&2
build=build/release
{ [ -f $build/build.ninja ] || cmake --preset release; } >build/bench/build.log 2>&1 &&
    ninja -C $build hello >>build/bench/build.log 2>&1 ||
    { cat build/bench/build.log >&2; echo "LEFT OUT: examples/c/hello does not build" >&2; }
rows=build/bench/c
{ [ -f $rows/build.ninja ] || cmake -S . -B $rows -G Ninja -DCMAKE_BUILD_TYPE=Release \
    -DQ5_BUILD_BENCH=ON -Wno-dev; } >build/bench/build.log 2>&1 &&
    ninja -C $rows pg_rows >>build/bench/build.log 2>&1 ||
    { cat build/bench/build.log >&2; echo "LEFT OUT: bench/c/pg_rows does not build" >&2; }
ninja -C $rows delay >build/bench/build.log 2>&1 ||
    { cat build/bench/build.log >&2; echo "LEFT OUT: bench/c/delay does not build" >&2; }
{ [ -f build/bench/load/build.ninja ] || cmake -S bench/load -B build/bench/load -G Ninja; } \
    >build/bench/build.log 2>&1 && ninja -C build/bench/load >>build/bench/build.log 2>&1 ||
    { cat build/bench/build.log >&2; echo "LEFT OUT: the rates (bench/load does not build)" >&2; }

exec "$python" -m bench "$@"
