"""Django's plain views on the servers that people run Django on."""

from __future__ import annotations

import sys
from functools import partial

from bench.cases import DJANGO, STATIC, Case
from bench.peers.base import BIN, Peer, Variant, only
from bench.peers.granian import granian
from bench.peers.uvicorn import uvicorn
from bench.places import STATIC as STATIC_ROOT
from bench.server import Launch

SETTINGS = {"DJANGO_SETTINGS_MODULE": "bench.apps.site.settings"}
WSGI = "bench.apps.site.wsgi:application"
ASGI = "bench.apps.site.asgi:application"
PLAIN = DJANGO | {"hello", "hello_middleware", "json_1k", "json_10k", "upload"}


def _settings(case: Case) -> dict[str, str]:
    """WhiteNoise serves the files where the server does not."""
    return SETTINGS | ({"BENCH_MIDDLEWARE": "whitenoise"} if case.name in STATIC else {})


def _gunicorn(kind: str, threads: int, case: Case, port: int) -> Launch:
    command = [str(BIN / "gunicorn"), "--bind", f"127.0.0.1:{port}", "--workers", "1"]
    command += ["--worker-class", kind, "--threads", str(threads), "--log-level", "error"]
    command += ["--http-parser", "fast"]
    return Launch([*command, WSGI], _settings(case))


def _granian(options: tuple[str, ...], case: Case, port: int) -> Launch:
    if case.name in STATIC:
        options += ("--static-path-route", "/static", "--static-path-mount", str(STATIC_ROOT))
    return Launch(granian(WSGI, "wsgi", port, *options), SETTINGS)


def _uvicorn(case: Case, port: int) -> Launch:
    return Launch(uvicorn(ASGI, port, "--lifespan", "off"), SETTINGS)


def _fastpysgi(case: Case, port: int) -> Launch:
    command = [sys.executable, "-m", "bench.apps.fastpysgi_django", str(port)]
    return Launch(command, _settings(case))


PEERS = [
    Peer(
        "django-gunicorn",
        "Django on gunicorn",
        PLAIN | STATIC,
        (
            Variant("gthread, 4 threads", partial(_gunicorn, "gthread", 4)),
            Variant("gthread, 1 thread", partial(_gunicorn, "gthread", 1)),
            Variant("sync", partial(_gunicorn, "sync", 1)),
        ),
        packages=("django", "gunicorn", "gunicorn_h1c", "whitenoise"),
    ),
    Peer(
        "django-granian",
        "Django on granian (WSGI)",
        PLAIN | STATIC,
        (
            Variant("default blocking threads", partial(_granian, ())),
            Variant("1 blocking thread", partial(_granian, ("--blocking-threads", "1"))),
        ),
        packages=("django", "granian"),
    ),
    Peer(
        "django-uvicorn",
        "Django on uvicorn (ASGI)",
        PLAIN,
        only(_uvicorn),
        packages=("django", "uvicorn", "uvloop", "httptools"),
    ),
    Peer(
        "django-fastpysgi",
        "Django on fastpysgi (WSGI)",
        PLAIN | STATIC,
        only(_fastpysgi),
        packages=("django", "fastpysgi", "whitenoise"),
    ),
]
