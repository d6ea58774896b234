"""The database cases on FastAPI with SQLAlchemy: a session by dependency, pydantic models."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request
from fastapi.responses import HTMLResponse
from fastapi.templating import Jinja2Templates
from sqlalchemy.ext.asyncio import AsyncSession

from bench.apps.db import alchemy
from bench.apps.db.pydantic_types import CityFull, CityMini, CityNested, Updated

app = FastAPI(openapi_url=None)
templates = Jinja2Templates(Path(__file__).parent / "templates")


async def session_to_read() -> AsyncIterator[AsyncSession]:
    async with alchemy.reading() as session:
        yield session


async def session_to_write() -> AsyncIterator[AsyncSession]:
    async with alchemy.writing() as session:
        yield session


Reading = Annotated[AsyncSession, Depends(session_to_read)]
Writing = Annotated[AsyncSession, Depends(session_to_write)]


@app.get("/city/{key}", response_model=CityFull)
async def one(key: int, session: Reading) -> Any:
    return await alchemy.one(session, key)


@app.get("/cities", response_model=list[CityFull])
async def full10(country: int, session: Reading) -> Any:
    return await alchemy.full10(session, country)


@app.get("/city-names", response_model=list[CityMini])
async def mini10(country: int, session: Reading) -> Any:
    return await alchemy.mini10(session, country)


@app.get("/nested", response_model=list[CityNested])
async def nested(country: int, session: Reading) -> Any:
    return await alchemy.nested(session, country)


@app.get("/twenty", response_model=list[CityMini])
async def twenty(session: Reading) -> Any:
    return await alchemy.twenty(session)


@app.get("/fortunes", response_class=HTMLResponse)
async def fortunes(request: Request, session: Reading) -> Any:
    found = await alchemy.fortunes(session)
    return templates.TemplateResponse(request, "fortunes.html", {"fortunes": found})


@app.post("/update", response_model=Updated)
async def update10(session: Writing) -> Any:
    return await alchemy.update10(session)
