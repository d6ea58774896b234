#!/bin/sh
# Print the newest CPython that can build and run the project, or fail.
#
# Newest first, and for each version: PATH, then pyenv. "Usable" means that what we
# need is really there: a pyenv shim without a version behind it, an interpreter that
# was built without OpenSSL, and a Debian python3 without python3-dev are all common.
set -eu

versions="3.14 3.13 3.12 3.11"

probe='
import ctypes, ensurepip, os, sqlite3, ssl, sys, sysconfig, venv, zlib
want = sys.argv[1]
have = "%d.%d" % sys.version_info[:2]
headers = os.path.join(sysconfig.get_path("include"), "Python.h")
sys.exit(not (have == want and sys.implementation.name == "cpython"
              and not sysconfig.get_config_var("Py_GIL_DISABLED")
              and os.path.exists(headers)))
'

usable() { # usable INTERPRETER VERSION
    [ -x "$1" ] && "$1" -c "$probe" "$2" >/dev/null 2>&1
}

for version in $versions; do
    old_ifs=$IFS
    IFS=:
    for folder in $PATH; do
        if usable "$folder/python$version" "$version"; then
            echo "$folder/python$version"
            exit 0
        fi
    done
    IFS=$old_ifs
    for candidate in "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version".*/bin/python; do
        if usable "$candidate" "$version"; then
            echo "$candidate"
            exit 0
        fi
    done
done
exit 1
