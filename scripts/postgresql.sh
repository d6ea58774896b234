#!/bin/sh
# A PostgreSQL server for the tests: postgresql.sh start | stop
#
#   start   where one answers (DATABASE_URL, else 127.0.0.1:5432), does nothing. Elsewhere, as root
#           on Debian and its kin, installs `postgresql` and starts a cluster of ours on the first
#           free port from QUINTETTE_PG_PORT (5432) on. Prints the line to `eval`, if there is one.
#   stop    ends and removes that cluster.
#
# The cluster is apart from those of the machine, whose roles and passwords are not ours to change.
# It listens on the loopback alone and asks for no password.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
state=$root/build/postgresql.cluster # "VERSION NAME" of the cluster that start has made

answers() { # is there one whose superuser we are? Tests make databases and end sessions.
    "$root/.venv/bin/python" - <<'END' 2>/dev/null
import os, psycopg
url = os.environ.get("DATABASE_URL", "postgresql://127.0.0.1:5432")
with psycopg.connect(url, dbname="postgres", connect_timeout=5) as connection:
    ((superuser,),) = connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = USER")
    assert superuser
END
}

installed() { ls /usr/lib/postgresql/*/bin/initdb; }

clusters() { pg_lsclusters --no-header 2>/dev/null | awk -v state="$1" '$4 ~ state {print $1, $2}'; }

install_package() { # what the installation starts by itself, we stop again
    echo "Installing: postgresql" >&2
    apt-get update -qq >/dev/null
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq -o Dpkg::Use-Pty=0 \
        --no-install-recommends postgresql >/dev/null
    clusters online | while read -r version cluster; do
        pg_ctlcluster "$version" "$cluster" stop >&2
    done
}

start() {
    if answers; then
        return 0
    fi
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "No PostgreSQL answers (DATABASE_URL, else 127.0.0.1:5432), and only root can" \
            "install it: tests that need it are skipped." >&2
        return 0
    fi
    installed >/dev/null 2>&1 || install_package
    remove_cluster
    version=$(basename "$(dirname "$(dirname "$(installed | sort -V | tail -n 1)")")")
    name=quintette_$$
    port=$(free_port)
    mkdir -p "$root/build"
    echo "$version $name" >"$state"
    pg_createcluster --port "$port" --locale C.UTF-8 "$version" "$name" -- --auth trust >/dev/null
    pg_ctlcluster "$version" "$name" start >&2
    echo "PostgreSQL $version was started on 127.0.0.1:$port" >&2
    echo "export DATABASE_URL=postgresql://postgres@127.0.0.1:$port/postgres"
}

free_port() {
    "$root/.venv/bin/python" - "${QUINTETTE_PG_PORT:-5432}" <<'END'
import socket, sys
for port in range(int(sys.argv[1]), 65_536):
    with socket.socket() as taken:
        taken.settimeout(1)
        if taken.connect_ex(("127.0.0.1", port)):
            print(port)
            break
END
}

remove_cluster() {
    [ -f "$state" ] || return 0
    read -r version name <"$state"
    pg_dropcluster --stop "$version" "$name" >&2 || true
    rm -f "$state"
}

case ${1:-} in
start) start ;;
stop) remove_cluster ;;
*)
    echo "usage: postgresql.sh start | stop" >&2
    exit 2
    ;;
esac
