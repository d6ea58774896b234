"""The limit of asynchronous Python: asyncpg's rows and msgspec, in a bare ASGI function."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import msgspec

from bench.apps.db import data, places

ONE = f"SELECT {', '.join(data.FULL)} FROM city WHERE id = $1"
FULL10 = f"SELECT {', '.join(data.FULL)} FROM city WHERE country_id = $1 ORDER BY id LIMIT 10"
MINI10 = "SELECT id, name FROM city WHERE country_id = $1 ORDER BY id LIMIT 10"
MINI = "SELECT id, name FROM city WHERE id = $1"
LOCK = "SELECT id, number FROM counter WHERE id BETWEEN $1 AND $2 ORDER BY id FOR UPDATE"
WRITE = "UPDATE counter SET number = $2 WHERE id = $1"


class Database:
    """Its pool is made when the server starts."""

    pool: asyncpg.Pool[asyncpg.Record]


HEADERS = [(b"content-type", b"application/json")]


async def one(argument: bytes) -> Any:
    return dict(await Database.pool.fetchrow(ONE, int(argument)) or ())


async def full10(argument: bytes) -> Any:
    return [dict(row) for row in await Database.pool.fetch(FULL10, int(argument))]


async def mini10(argument: bytes) -> Any:
    return [dict(row) for row in await Database.pool.fetch(MINI10, int(argument))]


async def twenty(argument: bytes) -> Any:
    rows = await asyncio.gather(*(Database.pool.fetchrow(MINI, key) for key in data.TWENTY))
    return [dict(row or ()) for row in rows]


async def update10(argument: bytes) -> Any:
    first = data.block()
    async with Database.pool.acquire() as connection, connection.transaction():
        rows = await connection.fetch(LOCK, first, first + data.LIMIT - 1)
        await connection.executemany(WRITE, [(row["id"], row["number"] + 1) for row in rows])
    return {"updated": len(rows)}


ROUTES: dict[str, Callable[[bytes], Awaitable[Any]]] = {
    "city": one,
    "cities": full10,
    "city-names": mini10,
    "twenty": twenty,
    "update": update10,
}


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    _, name, *rest = scope["path"].split("/")
    argument = rest[0].encode() if rest else scope["query_string"].removeprefix(b"country=")
    body = msgspec.json.encode(await ROUTES[name](argument))
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": body})


async def lifespan(receive: Any, send: Any) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            Database.pool = await asyncpg.create_pool(
                host=places.POSTGRESQL_HOST,
                database=places.POSTGRESQL_NAME,
                min_size=places.POOL,
                max_size=places.POOL,
            )
        else:
            await Database.pool.close()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
