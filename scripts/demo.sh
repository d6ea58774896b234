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

case $host in 0.0.0.0 | ::) shown=localhost ;; *:*) shown="[$host]" ;; *) shown=$host ;; esac
cat <<END

  The atlas    http://$shown:$port/
  Its admin    http://$shown:$port/admin/       admin / atlas
  Its API      http://$shown:$port/api/docs     http://$shown:$port/api/cities?q=paris

  Ctrl+C stops it.

END
exec "$python" manage.py serve --host "$host" --port "$port"
