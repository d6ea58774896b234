"""The tables and the cases' queries in SQLAlchemy 2, asynchronous: FastAPI and Litestar.

On asyncpg, whose statements are prepared once per connection, or on aiosqlite. Reading cases run
in AUTOCOMMIT as Django's do, which saves a BEGIN and a ROLLBACK each.
"""

from __future__ import annotations

import os
import uuid
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    BigInteger,
    DateTime,
    ForeignKey,
    Numeric,
    Select,
    String,
    Text,
    TypeDecorator,
    event,
    select,
)
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    joinedload,
    mapped_column,
    relationship,
    selectinload,
)

from bench.apps.db import data, places
from bench.apps.db.data import block


class UtcDateTime(TypeDecorator[datetime]):
    """SQLite's text without a time zone is UTC, as Django writes it."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Any) -> Any:
        return dialect.type_descriptor(DateTime(timezone=True))

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        return value.replace(tzinfo=UTC) if value is not None else None


_SQLITE = os.environ.get("BENCH_DATABASE") == "sqlite"
_Moment = UtcDateTime if _SQLITE else DateTime(timezone=True)


class Base(DeclarativeBase):
    pass


class Country(Base):
    __tablename__ = "country"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    code: Mapped[str] = mapped_column(String(2))
    name: Mapped[str] = mapped_column(String(100))


class Airport(Base):
    __tablename__ = "airport"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    code: Mapped[str] = mapped_column(String(8))
    name: Mapped[str] = mapped_column(String(100))
    city_id: Mapped[int] = mapped_column(ForeignKey("city.id"))


class City(Base):
    __tablename__ = "city"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    country_id: Mapped[int] = mapped_column(ForeignKey("country.id"))
    population: Mapped[int] = mapped_column(BigInteger)
    latitude: Mapped[float]
    longitude: Mapped[float]
    area: Mapped[Decimal] = mapped_column(Numeric(10, 2))
    founded: Mapped[date]
    updated: Mapped[datetime] = mapped_column(_Moment)
    capital: Mapped[bool]
    code: Mapped[uuid.UUID]
    motto: Mapped[str | None] = mapped_column(Text)
    country: Mapped[Country] = relationship()
    airports: Mapped[list[Airport]] = relationship(order_by=Airport.id)


class Fortune(Base):
    __tablename__ = "fortune"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    message: Mapped[str] = mapped_column(String(200))


class Counter(Base):
    __tablename__ = "counter"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger)


def _postgresql() -> AsyncEngine:
    return create_async_engine(
        f"postgresql+asyncpg:///{places.POSTGRESQL_NAME}",
        connect_args={"host": places.POSTGRESQL_HOST},
        pool_size=places.POOL,
        max_overflow=0,
    )


def _sqlite() -> AsyncEngine:
    made = create_async_engine(
        f"sqlite+aiosqlite:///{places.SQLITE_FILE}", pool_size=places.POOL, max_overflow=0
    )

    @event.listens_for(made.sync_engine, "connect")
    def set_pragmas(connection: Any, record: object) -> None:
        # Transactions begin as below says, not as the driver thinks.
        connection.isolation_level = None
        cursor = connection.cursor()
        for name, value in places.SQLITE_PRAGMAS.items():
            cursor.execute(f"PRAGMA {name}={value}")
        cursor.close()

    @event.listens_for(made.sync_engine, "begin")
    def begin(connection: Any) -> None:
        if connection.get_isolation_level() != "AUTOCOMMIT":
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return made


engine = _sqlite() if _SQLITE else _postgresql()
reading = async_sessionmaker(
    engine.execution_options(isolation_level="AUTOCOMMIT"), expire_on_commit=False
)
writing = async_sessionmaker(engine, expire_on_commit=False)


def ten(*columns: Any, country: int) -> Select[Any]:
    return select(*columns).where(City.country_id == country).order_by(City.id).limit(data.LIMIT)


async def one(session: AsyncSession, key: int) -> City:
    return await session.get_one(City, key)


async def full10(session: AsyncSession, country: int) -> list[City]:
    return list(await session.scalars(ten(City, country=country)))


async def mini10(session: AsyncSession, country: int) -> list[Any]:
    return list(await session.execute(ten(City.id, City.name, country=country)))


async def nested(session: AsyncSession, country: int) -> list[City]:
    loading = (joinedload(City.country), selectinload(City.airports))
    return list(await session.scalars(ten(City, country=country).options(*loading)))


async def twenty(session: AsyncSession) -> list[City]:
    # A session runs one statement at a time: no gather.
    return [await session.get_one(City, key) for key in data.TWENTY]


async def fortunes(session: AsyncSession) -> list[Fortune]:
    found = list(await session.scalars(select(Fortune)))
    number, message = data.ADDED_FORTUNE
    found.append(Fortune(id=number, message=message))
    found.sort(key=lambda fortune: fortune.message)
    return found


async def update10(session: AsyncSession) -> dict[str, int]:
    async with session.begin():
        first = block()
        wanted = (
            select(Counter)
            .where(Counter.id.in_(range(first, first + data.LIMIT)))
            .order_by(Counter.id)
            .with_for_update()
        )
        rows = list(await session.scalars(wanted))
        for row in rows:
            row.number += 1
    return {"updated": len(rows)}
