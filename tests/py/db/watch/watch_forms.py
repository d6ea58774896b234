"""Databases for a while, and the forms in which code may run."""

import asyncio

from django.db import connections
from django.db.utils import ConnectionHandler

from quintette import concurrency
from quintette._quintette import Poller
from quintette.db import pool
from quintette.db.watch import recorded


def add(alias, settings):
    connections.settings[alias] = ConnectionHandler({"default": settings}).settings["default"]


def remove(alias):
    connections[alias].close()
    del connections[alias]
    del connections.settings[alias]


def on_loop(coroutine):
    """Runs it on a loop of ours."""
    poller = Poller()
    loop = asyncio.SelectorEventLoop(poller)
    poller.bind_loop(loop)

    async def within():
        try:
            async with asyncio.timeout(30):
                return await coroutine
        finally:
            await asyncio.sleep(0)
            await pool.drain()

    try:
        return loop.run_until_complete(within())
    finally:
        loop.close()


def here(function):
    with recorded() as record:
        function()
    return record


def in_greenlet(function):
    async def run():
        with recorded() as record:
            await concurrency.run(function)
        return record

    return on_loop(run())


def in_thread(function):
    async def run():
        def closing():
            try:
                function()
            finally:
                connections.close_all()

        with recorded() as record:
            await asyncio.to_thread(closing)
        return record

    return on_loop(run())
