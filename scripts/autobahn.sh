#!/bin/sh
# The Autobahn test suite against our WebSockets: autobahn.sh [CASE...]     (default: all of them)
#
# Needs its program, wstest (package autobahntestsuite, which needs Python 2.7), in PATH or as
# WSTEST=... A full run takes half an hour, most of it in 9.*, 12.* and 13.*; 1.* to 7.* and 10.* take
# half a minute.
set -eu

cd "$(dirname "$0")/.."
wstest=${WSTEST:-wstest}
command -v "$wstest" >/dev/null || { echo "wstest is not there: see the head of $0" >&2; exit 77; }

port=${PORT:-9013}
out=build/autobahn
mkdir -p "$out"
cases=""
for case in "${@:-*}"; do
    cases="$cases${cases:+, }\"$case\""
done
cat >"$out/spec.json" <<SPEC
{"outdir": "$out/reports", "exclude-cases": [], "exclude-agent-cases": {}, "cases": [$cases],
 "servers": [{"agent": "message", "url": "ws://127.0.0.1:$port/message"},
             {"agent": "context", "url": "ws://127.0.0.1:$port/context"}]}
SPEC

.venv/bin/python tests/conformance/autobahn/echo.py serve "127.0.0.1:$port" >"$out/server.log" 2>&1 &
server=$!
trap 'kill $server' EXIT
tries=0
until grep -q serves "$out/server.log"; do
    tries=$((tries + 1))
    [ $tries -lt 100 ] || { cat "$out/server.log" >&2; exit 1; }
    sleep 0.1
done

"$wstest" -m fuzzingclient -s "$out/spec.json" >"$out/suite.log" 2>&1 ||
    { tail -n 20 "$out/suite.log" >&2; exit 1; }
.venv/bin/python tests/conformance/autobahn/judge.py "$out/reports/index.json"
