"""WebSocket routes: what handlers and clients see of each other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from quintette import (
    API,
    Depends,
    Group,
    Header,
    HTTPError,
    Query,
    RegistrationError,
    WebSocket,
    WebSocketClosed,
)
from quintette.testing import AsyncTestClient, TestClient, WebSocketRefused

SECONDS = 60


class Said(msgspec.Struct):
    text: str
    loud: bool = False


class Heard(msgspec.Struct):
    room: int
    text: str


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(SECONDS):
            await test()

    asyncio.run(main())


@pytest.fixture
def api() -> API:
    return API()


def test_typed_parameters_and_messages(api: API) -> None:
    @api.websocket("/rooms/<int:room>")
    async def chat(
        socket: WebSocket[Said, Heard],
        room: int,
        token: str = Query(),
        user_agent: str = Header(""),
    ) -> None:
        async for said in socket:
            text = said.text.upper() if said.loud else said.text
            await socket.send(Heard(room, f"{token} {user_agent} {text}"))

    async def test() -> None:
        client = AsyncTestClient(api, headers={"User-Agent": "me"})
        async with client.websocket_connect("/rooms/7", params={"token": "t"}) as socket:
            await socket.send_json({"text": "hello", "loud": True})
            assert await socket.receive_json() == {"room": 7, "text": "t me HELLO"}
            await socket.send_json({"text": "bye"})
            assert await socket.receive_json() == {"room": 7, "text": "t me bye"}
        assert socket.close_code == 1000

    run(test)


def test_faults_of_parameters_are_answered_as_any_routes(api: API) -> None:
    @api.websocket("/rooms/<int:room>")
    async def chat(socket: WebSocket[Said, Heard], room: int, token: int = Query()) -> None:
        raise AssertionError("must not be called")

    async def test() -> None:
        with pytest.raises(WebSocketRefused) as refused:
            async with AsyncTestClient(api).websocket_connect("/rooms/7?token=x"):
                pass
        assert refused.value.response.status_code == 422
        assert refused.value.response.json()["errors"][0]["loc"] == ["token"]

    run(test)


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        (WebSocket[str, str], "text"),
        (WebSocket[bytes, bytes], b"\xff\x00"),
        (WebSocket[str | bytes, str | bytes], "text"),
        (WebSocket[str | bytes, str | bytes], b"bytes"),
        (WebSocket, "bare"),
        (WebSocket[str, str], ""),
        (WebSocket[bytes, bytes], b""),
        (WebSocket[str, str], "x" * 200_000),
    ],
)
def test_raw_messages(api: API, annotation: Any, message: str | bytes) -> None:
    async def echo(socket: Any) -> None:
        async for received in socket:
            await socket.send(received)

    echo.__annotations__["socket"] = annotation
    api.websocket("/echo")(echo)

    async def test() -> None:
        async with AsyncTestClient(api).websocket_connect("/echo") as socket:
            await socket.send(message)
            assert await socket.receive() == message

    run(test)


@pytest.mark.parametrize(
    ("annotation", "message", "code"),
    [
        (WebSocket[Said, Heard], "{", 1007),
        (WebSocket[Said, Heard], '{"text": 1}', 1008),
        (WebSocket[Said, Heard], "[" * 500 + "]" * 500, 1008),
        (WebSocket[Said, Heard], b'{"text": "x"}', 1003),
        (WebSocket[str, str], b"binary", 1003),
        (WebSocket[bytes, bytes], "text", 1003),
    ],
)
def test_messages_that_are_refused(
    api: API, annotation: Any, message: str | bytes, code: int
) -> None:
    ended = []

    async def take(socket: Any) -> None:
        async for received in socket:
            raise AssertionError(received)
        ended.append(socket.close_code)

    take.__annotations__["socket"] = annotation
    api.websocket("/take")(take)

    async def test() -> None:
        async with AsyncTestClient(api).websocket_connect("/take") as socket:
            await socket.send(message)
            with pytest.raises(WebSocketClosed) as closed:
                await socket.receive()
        assert closed.value.code == code
        assert closed.value.reason
        assert ended == [code]

    run(test)


def test_what_is_no_fault_of_the_clients_stays_here(api: API) -> None:
    class Looked(msgspec.Struct):
        text: str

        def __post_init__(self) -> None:
            raise OSError("no connection to db.internal as admin")

    ended = []

    async def take(socket: Any) -> None:
        try:
            await socket.receive()
        except OSError as error:
            ended.append(str(error))
            raise

    take.__annotations__["socket"] = WebSocket[Looked, Heard]
    api.websocket("/take")(take)

    async def test() -> None:
        async with AsyncTestClient(api, raise_errors=False).websocket_connect("/take") as socket:
            await socket.send('{"text": "x"}')
            with pytest.raises(WebSocketClosed) as closed:
                await socket.receive()
        assert (closed.value.code, closed.value.reason) == (1011, "")
        assert ended == ["no connection to db.internal as admin"]

    run(test)


def test_the_reason_says_what_is_wrong(api: API) -> None:
    @api.websocket("/take")
    async def take(socket: WebSocket[Said, Heard]) -> None:
        await socket.receive()

    async def test() -> None:
        async with AsyncTestClient(api).websocket_connect("/take") as socket:
            await socket.send('{"text": 1}')
            with pytest.raises(WebSocketClosed) as closed:
                await socket.receive()
        assert closed.value.reason == "Expected `str`, got `int` - at `$.text`"

    run(test)


def test_a_client_without_a_loop(api: API) -> None:
    @api.websocket("/echo", subprotocols=["v1"])
    async def echo(socket: WebSocket[Said, Heard]) -> None:
        async for said in socket:
            await asyncio.sleep(0)
            await socket.send(Heard(1, said.text))
            if said.text == "stop":
                await socket.close(4000, "stopped")

    client = TestClient(api)
    with client.websocket_connect("/echo", subprotocols=["v1"]) as socket:
        assert socket.subprotocol == "v1"
        for text in ("a", "b"):
            socket.send_json({"text": text})
            assert socket.receive_json() == {"room": 1, "text": text}
        socket.send('{"text": "stop"}')
        assert list(socket) == ['{"room":1,"text":"stop"}']
    assert (socket.close_code, socket.close_reason) == (4000, "stopped")
    with (
        pytest.raises(WebSocketRefused),
        client.websocket_connect("/echo", headers={"Origin": "https://evil.org"}),
    ):
        pass
    with pytest.raises(KeyError), client.websocket_connect("/echo") as socket:
        raise KeyError
    with pytest.raises(TypeError), TestClient(api, backend="django").websocket_connect("/echo"):
        pass


# --- the handshake ----------------------------------------------------------------------


@pytest.fixture
def echo(api: API) -> API:
    @api.websocket("/echo", subprotocols=["v2", "v1"], origins=["https://*.friend.org"])
    async def echo(socket: WebSocket[str, str]) -> None:
        async for message in socket:
            await socket.send(f"{socket.subprotocol} {message}")

    return api


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 101),
        ({"Origin": "http://testserver"}, 101),
        ({"Origin": "https://testserver"}, 101),
        ({"Origin": "https://a.friend.org"}, 101),
        ({"Origin": "https://friend.org"}, 403),
        ({"Origin": "https://evil.org"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-WebSocket-Version": "8"}, 426),
        ({"Sec-WebSocket-Key": "short"}, 400),
        ({"Upgrade": "h2c"}, 426),
    ],
)
def test_handshakes(echo: API, headers: dict[str, str], status: int) -> None:
    async def test() -> None:
        try:
            async with AsyncTestClient(echo).websocket_connect("/echo", headers=headers) as socket:
                response = socket.response
        except WebSocketRefused as refused:
            response = refused.response
        assert response.status_code == status
        if status == 426:
            assert response.headers["Sec-WebSocket-Version"] == "13"
            assert response.headers["Upgrade"] == "websocket"
            assert "Upgrade" in response.headers.get_list("Connection")

    run(test)


@pytest.mark.parametrize(
    ("offered", "chosen"), [([], None), (["v1"], "v1"), (["v1", "v2"], "v2"), (["v3"], None)]
)
def test_subprotocols(echo: API, offered: list[str], chosen: str | None) -> None:
    async def test() -> None:
        client = AsyncTestClient(echo)
        async with client.websocket_connect("/echo", subprotocols=offered) as socket:
            assert socket.subprotocol == chosen
            await socket.send("hi")
            assert await socket.receive() == f"{chosen} hi"

    run(test)


def test_a_plain_request_is_told_what_the_resource_is(echo: API) -> None:
    for backend in ("native", "django"):
        response = TestClient(echo, backend=backend).get("/echo")
        assert response.status_code == 426
        assert response.json()["detail"] == "this resource is a WebSocket"


def test_other_servers_say_where_it_is_served(echo: API) -> None:
    response = TestClient(echo, backend="django").get("/echo", headers={"Connection": "Upgrade"})
    assert response.status_code == 501
    assert "manage.py serve" in response.json()["detail"]


def test_an_error_before_the_first_use_is_an_answer(api: API) -> None:
    async def check(socket: WebSocket[str, str], token: str = Query("")) -> str:
        if token != "good":
            raise HTTPError(401, "who are you?")
        return token

    @api.websocket("/in")
    async def inside(socket: WebSocket[str, str], token: str = Depends(check)) -> None:
        if socket.request.headers.get("X-Room") == "none":
            raise HTTPError(404)
        await socket.send(token)

    async def test() -> None:
        client = AsyncTestClient(api)
        for params, headers, status in [
            ({}, {}, 401),
            ({"token": "good"}, {"X-Room": "none"}, 404),
        ]:
            with pytest.raises(WebSocketRefused) as refused:
                async with client.websocket_connect("/in", params=params, headers=headers):
                    pass
            assert refused.value.response.status_code == status
        async with client.websocket_connect("/in", params={"token": "good"}) as socket:
            assert await socket.receive() == "good"

    run(test)


# --- ends -------------------------------------------------------------------------------


def test_a_handler_that_returns_closes(api: API) -> None:
    @api.websocket("/silent")
    async def silent(socket: WebSocket[str, str]) -> None:
        pass

    async def test() -> None:
        async with AsyncTestClient(api).websocket_connect("/silent") as socket:
            with pytest.raises(WebSocketClosed) as closed:
                await socket.receive()
        assert closed.value.code == 1000

    run(test)


@pytest.mark.parametrize(
    ("error", "code"),
    [(ValueError("oops"), 1011), (HTTPError(404), 1008), (HTTPError(503), 1011)],
)
def test_a_handler_that_raises_closes(api: API, error: Exception, code: int) -> None:
    @api.websocket("/fails")
    async def fails(socket: WebSocket[str, str]) -> None:
        await socket.accept()
        raise error

    async def test() -> None:
        client = AsyncTestClient(api, raise_errors=False)
        async with client.websocket_connect("/fails") as socket:
            with pytest.raises(WebSocketClosed) as closed:
                await socket.receive()
        assert closed.value.code == code
        assert closed.value.reason == ""  # what went wrong is for the log

    run(test)


def test_close(api: API) -> None:
    seen: list[Any] = []

    @api.websocket("/leave")
    async def leave(socket: WebSocket[str, str]) -> None:
        with pytest.raises(ValueError, match="1005"):
            await socket.close(1005)
        await socket.close(4001, "enough")
        await socket.close()
        seen.append((socket.closed, socket.close_code, socket.close_reason))
        with pytest.raises(WebSocketClosed):
            await socket.send("x")
        with pytest.raises(WebSocketClosed):
            await socket.receive()

    async def test() -> None:
        async with AsyncTestClient(api).websocket_connect("/leave") as socket:
            with pytest.raises(WebSocketClosed) as closed:
                await socket.receive()
        assert (closed.value.code, closed.value.reason) == (4001, "enough")
        assert seen == [(True, 4001, "enough")]

    run(test)


@asynccontextmanager
async def finished(event: asyncio.Event) -> AsyncIterator[None]:
    yield
    await event.wait()


@pytest.mark.parametrize("politely", [True, False])
def test_a_client_that_leaves_ends_the_iteration(api: API, politely: bool) -> None:
    seen: list[Any] = []
    over = asyncio.Event()

    @api.websocket("/count")
    async def count(socket: WebSocket[str, str]) -> None:
        async for message in socket:
            seen.append(message)
            await asyncio.sleep(0)
        seen.append(socket.close_code)
        over.set()

    async def test() -> None:
        async with finished(over), AsyncTestClient(api).websocket_connect("/count") as socket:
            for message in ("a", "b", "c"):
                await socket.send(message)
            if not politely:
                socket.leave()
        assert seen == ["a", "b", "c", 1000 if politely else 1006]

    run(test)


def test_a_client_that_leaves_cancels_who_does_not_read(api: API) -> None:
    cancelled = asyncio.Event()

    @api.websocket("/push")
    async def push(socket: WebSocket[str, str]) -> None:
        await socket.accept()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async def test() -> None:
        async with AsyncTestClient(api).websocket_connect("/push"):
            pass
        await cancelled.wait()

    run(test)


def test_receive_and_send_say_that_the_client_has_left(api: API) -> None:
    seen: list[Any] = []
    over = asyncio.Event()

    @api.websocket("/one")
    async def one(socket: WebSocket[str, str]) -> None:
        with pytest.raises(WebSocketClosed) as closed:
            await socket.receive()
        seen.append((closed.value.code, closed.value.reason))
        with pytest.raises(WebSocketClosed):
            await socket.send("x")
        over.set()

    async def test() -> None:
        async with finished(over), AsyncTestClient(api).websocket_connect("/one") as socket:
            await socket.close(4000, "bye")
        assert seen == [(4000, "bye")]

    run(test)


def test_a_message_is_not_lost_to_a_timeout(api: API) -> None:
    @api.websocket("/slow")
    async def slow(socket: WebSocket[str, str]) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await socket.receive()
        await socket.send("ready")
        task = asyncio.create_task(socket.receive())
        await socket.send(await task)

    async def test() -> None:
        async with AsyncTestClient(api).websocket_connect("/slow") as socket:
            assert await socket.receive() == "ready"
            await socket.send("kept")
            assert await socket.receive() == "kept"

    run(test)


def test_awaitables_can_be_thrown_into(api: API) -> None:
    seen: list[str] = []

    @api.websocket("/thrown")
    async def thrown(socket: WebSocket[str, str]) -> None:
        for awaitable in (socket.receive(), socket.send("x")):
            with pytest.raises(KeyError, match="why"):
                awaitable.throw(KeyError("why"))
            awaitable.close()
        task = asyncio.create_task(socket.receive())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await socket.send("ready")
        seen.append(await socket.receive())  # nobody else waits any more

    async def test() -> None:
        async with AsyncTestClient(api).websocket_connect("/thrown") as socket:
            assert [await socket.receive(), await socket.receive()] == ["x", "ready"]
            await socket.send("hello")
            with pytest.raises(WebSocketClosed):
                await socket.receive()
        assert seen == ["hello"]

    run(test)


def test_one_receiver_at_a_time(api: API) -> None:
    @api.websocket("/two")
    async def two(socket: WebSocket[str, str]) -> None:
        first = asyncio.create_task(socket.receive())
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="another task waits"):
            await socket.receive()
        await socket.send("only one")
        assert await first == "hello"

    async def test() -> None:
        async with AsyncTestClient(api).websocket_connect("/two") as socket:
            assert await socket.receive() == "only one"
            await socket.send("hello")

    run(test)


# --- back-pressure ----------------------------------------------------------------------


def test_a_handler_that_does_not_read_stops_the_client(api: API) -> None:
    go = asyncio.Event()
    seen: list[str] = []

    @api.websocket("/later")
    async def later(socket: WebSocket[str, str]) -> None:
        await socket.accept()
        await go.wait()
        async for message in socket:
            seen.append(message)
            if len(seen) == 1000:
                await socket.send("all")

    async def test() -> None:
        async with AsyncTestClient(api).websocket_connect("/later") as socket:
            for index in range(1000):
                await socket.send(f"{index:5}" * 20)
            held = len(socket._outgoing)
            assert held > 50_000  # of some 106,000 bytes
            go.set()
            assert await socket.receive() == "all"
        assert seen == [f"{index:5}" * 20 for index in range(1000)]

    run(test)


def test_a_client_that_does_not_read_stops_the_handler(api: API) -> None:
    sent: list[int] = []

    @api.websocket("/much")
    async def much(socket: WebSocket[str, bytes]) -> None:
        for index in range(100):
            await socket.send(bytes(20_000))
            sent.append(index)

    async def test() -> None:
        async with AsyncTestClient(api).websocket_connect("/much") as socket:
            for _ in range(50):
                await asyncio.sleep(0)
            assert 10 < len(sent) < 40  # 256 KiB here, and as much at the client's
            for _ in range(100):
                assert len(await socket.receive()) == 20_000

    run(test)


def test_a_send_that_is_not_awaited_is_bounded(api: API) -> None:
    over = asyncio.Event()

    @api.websocket("/careless")
    async def careless(socket: WebSocket[str, bytes]) -> None:
        for _ in range(1000):
            socket.send(bytes(20_000))  # type: ignore[unused-coroutine]
        over.set()
        await socket.receive()

    async def test() -> None:
        async with AsyncTestClient(api).websocket_connect("/careless") as socket:
            await over.wait()
            assert len(socket._incoming) < 400_000

    run(test)


# --- groups -----------------------------------------------------------------------------


@pytest.fixture
def room(api: API) -> Iterator[Group[Heard]]:
    group: Group[Heard] = Group()

    @api.websocket("/room")
    async def room(socket: WebSocket[Said, Heard]) -> None:
        await group.add(socket)
        async for said in socket:
            group.send(Heard(len(group), said.text))
        group.discard(socket)

    yield group
    assert len(group) == 0


async def empty(group: Group[Any]) -> None:
    """Its handlers come to their end behind that of their clients."""
    while len(group):  # noqa: ASYNC110
        await asyncio.sleep(0)


def test_groups(api: API, room: Group[Heard]) -> None:
    async def test() -> None:
        client = AsyncTestClient(api)
        async with client.websocket_connect("/room") as one:
            async with client.websocket_connect("/room") as two:
                await one.send_json({"text": "hi"})
                for socket in (one, two):
                    assert await socket.receive_json() == {"room": 2, "text": "hi"}
            await one.send_json({"text": "alone"})
            assert await one.receive_json() == {"room": 1, "text": "alone"}
        await empty(room)

    run(test)


def test_a_group_is_told_from_a_thread(api: API, room: Group[Heard]) -> None:
    async def test() -> None:
        async with AsyncTestClient(api).websocket_connect("/room") as socket:
            await asyncio.to_thread(room.send, Heard(0, "from a thread"))
            assert await socket.receive_json() == {"room": 0, "text": "from a thread"}
        await empty(room)

    run(test)


def test_a_group_drops_who_is_behind(api: API, room: Group[Heard]) -> None:
    async def test() -> None:
        client = AsyncTestClient(api)
        async with client.websocket_connect("/room") as slow:
            async with client.websocket_connect("/room") as socket:
                for index in range(10):
                    room.send(Heard(index, "x" * 50_000))
                    assert (await socket.receive_json())["room"] == index
                assert len(room) == 1
            heard = [message async for message in slow]
            assert 1 < len(heard) < 10
        assert (slow.close_code, slow.close_reason) == (1013, "too slow")
        await empty(room)

    run(test)


# --- registration -----------------------------------------------------------------------


def test_mistakes_are_named(api: API) -> None:
    async def no_socket() -> None: ...

    def no_coroutine(socket: WebSocket[str, str]) -> None: ...

    async def unknown(socket: WebSocket[object, str]) -> None: ...

    async def fine(socket: WebSocket[str, str]) -> None: ...

    rows: list[tuple[Callable[[], Any], str]] = [
        (lambda: api.websocket("/a")(no_socket), "handler takes one: `socket: WebSocket"),
        (lambda: api.websocket("/b")(no_coroutine), "is `async def`"),
        (lambda: api.get("/c")(fine), "only @api.websocket"),
        (lambda: api.websocket("/d", origins=["example.com"])(fine), "is no origin"),
        (lambda: api.websocket("/e", subprotocols=["a b"])(fine), "name of a subprotocol"),
        (lambda: api.websocket("/f", compression="x")(fine), "compression is True"),  # type: ignore[arg-type]
    ]
    for register, message in rows:
        with pytest.raises(RegistrationError, match=message):
            register()
