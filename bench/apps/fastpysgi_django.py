"""The Django project on fastpysgi: python -m bench.apps.fastpysgi_django PORT."""

from __future__ import annotations

import sys

import fastpysgi

from bench.apps.site.wsgi import application

if __name__ == "__main__":
    fastpysgi.run(application, host="127.0.0.1", port=int(sys.argv[1]))
