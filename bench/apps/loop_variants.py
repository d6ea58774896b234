"""The hello under one way of sharing a thread with asyncio: loop_variants.py WAY PORT."""

from __future__ import annotations

import asyncio
import signal
import sys

import django
from django.conf import settings
from django.urls import get_resolver, path

settings.configure(
    ROOT_URLCONF=__name__, SECRET_KEY="bench", MIDDLEWARE=[], INSTALLED_APPS=["quintette"]
)
django.setup()

from quintette import API, _quintette  # noqa: E402  (needs configured settings)
from quintette.api import lift  # noqa: E402

api = API(title="Hello", version="1")
HELLO = {"message": "Hello, world!"}


async def answer() -> dict[str, str]:
    return HELLO


@api.get("/hello")
async def hello() -> dict[str, str]:
    return HELLO


@api.get("/eager-task")
async def eager_task() -> dict[str, str]:
    return await asyncio.Task(
        answer(), loop=asyncio.get_running_loop(), **({} if sys.version_info < (3, 12) else EAGER)
    )


@api.get("/task")
async def task() -> dict[str, str]:
    return await asyncio.create_task(answer())


@api.get("/wait")
async def wait() -> dict[str, str]:
    await asyncio.sleep(0)
    return HELLO


EAGER = {"eager_start": True}
urlpatterns = [path("", api.urls)]


def make_loop(way: str, poller: _quintette.Poller) -> asyncio.AbstractEventLoop:
    if way == "selector":
        loop: asyncio.AbstractEventLoop = asyncio.SelectorEventLoop(poller)
        poller.bind_loop(loop)
        return loop
    if way == "uvloop":
        import uvloop

        loop = uvloop.new_event_loop()
    else:
        loop = asyncio.SelectorEventLoop()
    loop.add_reader(poller.fileno(), poller.select, 0)
    return loop


def main() -> None:
    way, port = sys.argv[1], int(sys.argv[2])
    poller = _quintette.Poller()
    loop = make_loop(way, poller)
    asyncio.set_event_loop(loop)
    router, _report = lift(get_resolver())
    server = _quintette.Server(poller, router=router, limits={"requests_max": 10**9})
    server.accept_on(_quintette.listen("127.0.0.1", port))
    loop.add_signal_handler(signal.SIGTERM, loop.stop)
    loop.run_forever()


if __name__ == "__main__":
    main()
