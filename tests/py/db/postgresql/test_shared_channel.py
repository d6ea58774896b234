"""Channels of all workers: two of one name stand for two processes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import psycopg
import pytest
from asgiref.sync import sync_to_async
from django.db import connections, transaction

from quintette import Event, SharedChannel, lifespan

pytestmark = pytest.mark.postgresql


class Tick(msgspec.Struct):
    n: int


class Secretive(msgspec.Struct):
    n: int
    secret: str = "s"


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """No server of another test listens."""
    held: list[Any] = []
    monkeypatch.setattr(lifespan, "hold", held.append)
    return held


def _pair(**options: Any) -> tuple[SharedChannel[Any], SharedChannel[Any]]:
    return (
        SharedChannel(Tick, name="ticks", using="pg", **options),
        SharedChannel(Tick, name="ticks", using="pg", **options),
    )


async def _until(condition: Callable[[], bool]) -> None:
    """Looks again and again; the test's own time limit ends it."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def _take(channel: SharedChannel[Any], count: int) -> list[Event[Any]]:
    got = []
    async for event in channel.subscribe("from the beginning"):
        got.append(event)
        if len(got) == count:
            break
    return got


def test_events_come_to_every_process(run: Any) -> None:
    here, there = _pair()

    async def scenario() -> None:
        async with here.listening(), there.listening():
            ids = [await here.apublish(Tick(n), event="tick", retry=5) for n in range(2)]
            ids.append(await there.apublish(Secretive(2)))
            for channel in (here, there):
                events = await _take(channel, 3)
                assert [event.id for event in events] == ids
                assert [event.data["n"] for event in events] == [0, 1, 2]
                assert (events[0].event, events[0].retry) == ("tick", 5)
                sent = channel.subscribe("x").pieces(events[2])
                assert sent == f'id: {ids[2]}\ndata: {{"n":2}}\n\n'.encode()

    run(scenario())


def test_a_transaction_sends_when_it_is_committed(run: Any) -> None:
    here, there = _pair()

    def publish() -> None:
        with transaction.atomic("pg"):
            here.publish(Tick(1))
            transaction.set_rollback(True, using="pg")
        with transaction.atomic("pg"):
            here.publish(Tick(2))
        connections["pg"].close()

    async def scenario() -> None:
        async with here.listening(), there.listening():
            await sync_to_async(publish)()
            assert [event.data["n"] for event in await _take(there, 1)] == [2]

    run(scenario())


def test_a_lost_connection_is_opened_again(
    run: Any, pg_database: psycopg.Connection[Any], caplog: pytest.LogCaptureFixture
) -> None:
    here, there = _pair()

    async def scenario() -> None:
        async with there.listening():
            pg_database.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE query LIKE 'LISTEN quintette_ticks%'"
            )
            await _until(lambda: any("are missed" in r.message for r in caplog.records))
            while not there.subscribe("x").take():
                await here.apublish(Tick(7))
                await asyncio.sleep(0.05)

    run(scenario())


def test_what_is_no_event_is_logged(run: Any, caplog: pytest.LogCaptureFixture) -> None:
    here, there = _pair()

    def notify() -> None:
        with connections["pg"].cursor() as cursor:
            for payload in ("x", '["1",{"n":"no number"},null,null,null]', '["a\\nb",1,null,1,""]'):
                cursor.execute("SELECT pg_notify('quintette_ticks', %s)", [payload])
        here.publish(Tick(1))
        connections["pg"].close()

    async def scenario() -> None:
        async with there.listening():
            await sync_to_async(notify)()
            assert [event.data["n"] for event in await _take(there, 1)] == [1]

    run(scenario())
    assert sum("that is no event" in record.message for record in caplog.records) == 3


def test_what_is_too_long_is_refused(run: Any) -> None:
    channel: SharedChannel[Any] = SharedChannel(name="long", using="pg")

    async def scenario() -> None:
        with pytest.raises(ValueError, match="a notification has 7999"):
            await channel.apublish("x" * 8000)

    run(scenario())


def test_on_other_databases_it_is_a_channel(alone: list[Any]) -> None:
    channel: SharedChannel[Any] = SharedChannel(name="local", history=2)
    assert alone == [channel.listening]

    async def scenario() -> None:
        async with channel.listening():
            channel.publish("a")
            assert [event.data for event in channel.subscribe("x").take() or []] == ["a"]

    asyncio.run(scenario())


@pytest.mark.parametrize("name", ["", "Ticks", "a-b", "x" * 41, "1a", 'a"; DROP TABLE thing'])
def test_names(name: str) -> None:
    with pytest.raises(ValueError, match="a name has"):
        SharedChannel(name=name)
