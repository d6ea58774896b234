#!/bin/sh
# Migrate, load and serve the example project on HOST:PORT, and say what is worth opening.
set -eu

cd "$(dirname "$0")/../examples/atlas"
python=../../.venv/bin/python
host=${HOST:-127.0.0.1}
port=${PORT:-8000}
export DEBUG=1

"$python" manage.py migrate --verbosity 0
"$python" manage.py load_atlas --if-empty
"$python" manage.py create_demo_admin

listen=$host
case $host in
127.* | localhost | ::1) hosts="" ;;
0.0.0.0 | ::) hosts="*" ;;
*) hosts=$host ;;
esac
if [ -n "$hosts" ]; then
    export ALLOWED_HOSTS="$hosts"
    echo "Note: whoever reaches $host can log in as admin / atlas."
fi
case $host in *:*) listen="[$host]" ;; esac
case $host in 0.0.0.0) shown=localhost ;; ::) shown="[::1]" ;; *) shown=$listen ;; esac
address=$shown:$port
cat <<END

  The atlas    http://$address/
  Its admin    http://$address/admin/    (admin / atlas)
  Its API      http://$address/api/cities?q=paris

  Ctrl+C stops it.

END
exec "$python" manage.py serve "$listen:$port"
