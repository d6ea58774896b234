"""The database cases on Litestar with SQLAlchemy: a session by dependency, msgspec structs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
from litestar import Litestar, get, post
from litestar.contrib.jinja import JinjaTemplateEngine
from litestar.di import Provide
from litestar.response import Template
from litestar.template import TemplateConfig
from sqlalchemy.ext.asyncio import AsyncSession

from bench.apps.db import alchemy
from bench.apps.db.msgspec_types import CityFull, CityMini, CityNested


async def session_to_read() -> AsyncIterator[AsyncSession]:
    async with alchemy.reading() as session:
        yield session


async def session_to_write() -> AsyncIterator[AsyncSession]:
    async with alchemy.writing() as session:
        yield session


def read(rows: Any, type_: Any) -> Any:
    return msgspec.convert(rows, type_, from_attributes=True)


@get("/city/{key:int}")
async def one(key: int, session: AsyncSession) -> CityFull:
    return read(await alchemy.one(session, key), CityFull)


@get("/cities")
async def full10(country: int, session: AsyncSession) -> list[CityFull]:
    return read(await alchemy.full10(session, country), list[CityFull])


@get("/city-names")
async def mini10(country: int, session: AsyncSession) -> list[CityMini]:
    return [CityMini(*row) for row in await alchemy.mini10(session, country)]


@get("/nested")
async def nested(country: int, session: AsyncSession) -> list[CityNested]:
    return read(await alchemy.nested(session, country), list[CityNested])


@get("/twenty")
async def twenty(session: AsyncSession) -> list[CityMini]:
    return read(await alchemy.twenty(session), list[CityMini])


@get("/fortunes")
async def fortunes(session: AsyncSession) -> Template:
    return Template("fortunes.html", context={"fortunes": await alchemy.fortunes(session)})


@post("/update", status_code=200, dependencies={"session": Provide(session_to_write)})
async def update10(session: AsyncSession) -> dict[str, int]:
    return await alchemy.update10(session)


app = Litestar(
    [one, full10, mini10, nested, twenty, fortunes, update10],
    dependencies={"session": Provide(session_to_read)},
    template_config=TemplateConfig(
        directory=Path(__file__).parent / "templates", engine=JinjaTemplateEngine
    ),
    openapi_config=None,
    logging_config=None,
)
