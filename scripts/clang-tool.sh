#!/bin/sh
# Print the path of a clang tool, unversioned or with Debian's newest suffix: clang-tool.sh NAME
set -eu

if command -v "$1"; then
    exit 0
fi
for version in 21 20 19 18 17 16 15 14; do
    if command -v "$1-$version"; then
        exit 0
    fi
done
exit 1
