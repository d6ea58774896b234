"""What the Autobahn suite talks to: `echo.py serve 127.0.0.1:PORT`.

Its cases have messages of 16 MiB and of many thousand fragments, and compress far beyond what is
believed of strangers: these limits are out of its way.
"""

import sys

import django
from django.conf import settings
from django.core.management import execute_from_command_line
from django.urls import path

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    INSTALLED_APPS=["quintette"],
    QUINTETTE={
        "ACCESS_LOG": False,
        "WEBSOCKET_MESSAGE_BYTES": 32 * 2**20,
        "WEBSOCKET_FRAGMENTS": 2**20,
    },
    ROOT_URLCONF="__main__",
    SECRET_KEY="for a test suite",
)
django.setup()

from quintette import API, WebSocket  # noqa: E402

api = API()


@api.websocket("/message")
async def message(socket: WebSocket[str | bytes, str | bytes]) -> None:
    async for received in socket:
        await socket.send(received)


api.websocket("/context", name="context", compression="context")(message)
urlpatterns = [path("", api.urls)]

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
