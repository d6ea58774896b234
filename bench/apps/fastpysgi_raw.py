"""The hello as a bare WSGI application on fastpysgi: python -m bench.apps.fastpysgi_raw PORT."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import fastpysgi


def application(environ: dict[str, Any], start_response: Callable[..., object]) -> list[bytes]:
    body = json.dumps({"message": "Hello, world!"}).encode()
    start_response(
        "200 OK",
        [("Content-Type", "application/json"), ("Content-Length", str(len(body)))],
    )
    return [body]


if __name__ == "__main__":
    fastpysgi.run(application, host="127.0.0.1", port=int(sys.argv[1]))
