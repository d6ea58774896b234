#!/bin/sh
# The library as a stranger meets it: install it into an empty prefix, compile the C example against
# it through pkg-config, serve, ask, stop.   test_hello.sh SOURCE_DIR C_COMPILER
set -eu

root=$1
cc=$2
skip() {
    echo "skipped: $1"
    exit 77
}
command -v curl >/dev/null || skip "curl is not installed"
command -v pkg-config >/dev/null || skip "pkg-config is not installed"

work=$(mktemp -d)
server=""
finish() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT

make -C "$root" install-lib "PREFIX=$work/prefix" >"$work/install.log" 2>&1 ||
    { cat "$work/install.log"; exit 1; }
PKG_CONFIG_PATH=$(dirname "$(find "$work/prefix" -name libq5.pc)")
export PKG_CONFIG_PATH
# shellcheck disable=SC2046  # flags are words
"$cc" -std=c17 -Wall -Wextra -Werror "$root/examples/c/hello.c" -o "$work/hello" \
    $(pkg-config --cflags --libs --static libq5)
[ "$(pkg-config --modversion libq5)" = "$(sed -n 's/^project(quintette VERSION \([0-9.]*\).*/\1/p' \
    "$root/CMakeLists.txt")" ] || { echo "libq5.pc has another version"; exit 1; }

# A port that is free: others are tried when the server cannot have it.
port=$((20000 + $$ % 20000))
for _ in 1 2 3 4 5 6 7 8 9 10; do
    "$work/hello" 127.0.0.1 "$port" >"$work/out" 2>"$work/err" &
    server=$!
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        grep -q listening "$work/out" && break 2
        kill -0 "$server" 2>/dev/null || break
        sleep 0.1
    done
    server=""
    port=$((port + 101))
done
[ -n "$server" ] || { cat "$work/err"; exit 1; }

ask() { # WANTED PATH [CURL_ARGUMENT...]
    wanted=$1
    path=$2
    shift 2
    got=$(curl --silent --max-time 5 --write-out ' %{http_code}' "$@" "http://127.0.0.1:$port$path")
    [ "$got" = "$wanted" ] || { echo "$path: got $got, want $wanted"; exit 1; }
}

ask '{"message":"Hello, world!"} 200' /hello
ask '{"hello":"Django","times":42} 200' /hello/Django/42
ask '{"type":"about:blank","title":"Not Found","status":404} 404' /nothing
ask '{"type":"about:blank","title":"Not Found","status":404} 404' /hello/Django/x
ask '{"type":"about:blank","title":"Method Not Allowed","status":405} 405' /hello --request POST
ask ' 200' /hello --head --output /dev/null

kill -TERM "$server"
wait "$server" || { echo "the server did not end well: $?"; exit 1; }
server=""
