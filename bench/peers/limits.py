"""Bounds: what costs no framework, or no Python at all."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.cases import STATIC as STATIC_CASES
from bench.cases import Case
from bench.errors import UnavailableError
from bench.peers.base import Peer, only
from bench.places import BUILD, ROOT, STATIC
from bench.server import Launch

NGINX_CONF = """
worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; sendfile on; tcp_nopush on;
  open_file_cache max=1000; types {{ text/css css; }} default_type application/json;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  server {{
    listen 127.0.0.1:{port} backlog=2048;
    location = /hello {{ return 200 '{{"message":"Hello, world!"}}'; }}
    location /static/ {{ alias {static}/; }}
  }}
}}
"""


def _nginx_program() -> str:
    program = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
    if program is None:
        raise UnavailableError("nginx is not installed (apt-get install nginx-light)")
    return program


def _nginx(case: Case, port: int) -> Launch:
    program = _nginx_program()
    directory = tempfile.TemporaryDirectory(prefix="nginx-", dir=BUILD)
    # Workers of a root's nginx run as nobody and must get at its files.
    Path(directory.name).chmod(0o755)
    conf = Path(directory.name) / "nginx.conf"
    conf.write_text(NGINX_CONF.format(folder=directory.name, port=port, static=STATIC))
    return Launch([program, "-c", str(conf)], files=[directory])


def _nginx_version() -> dict[str, str]:
    banner = subprocess.run([_nginx_program(), "-v"], capture_output=True, text=True, check=True)
    return {"nginx": banner.stderr.strip().rpartition("/")[2]}


def _libq5(case: Case, port: int) -> Launch:
    program = ROOT / "build" / "release" / "examples" / "c" / "hello"
    if not program.exists():
        raise UnavailableError("libq5: examples/c/hello is not built (make bench builds it)")
    return Launch([str(program), "127.0.0.1", str(port)])


def _fastpysgi(case: Case, port: int) -> Launch:
    return Launch([sys.executable, "-m", "bench.apps.fastpysgi_raw", str(port)])


PEERS = [
    Peer(
        "fastpysgi",
        "fastpysgi, bare WSGI function",
        frozenset({"hello"}),
        only(_fastpysgi),
        packages=("fastpysgi",),
        limit=True,
    ),
    Peer(
        "nginx",
        "nginx",
        STATIC_CASES | {"hello"},
        only(_nginx),
        versions_of=_nginx_version,
        limit=True,
    ),
    Peer("libq5", "libq5, handler in C", frozenset({"hello"}), only(_libq5), limit=True),
]
