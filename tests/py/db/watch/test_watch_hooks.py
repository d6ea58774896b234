"""What the extension calls must not break what it sees."""

import asyncio

import pytest
from watch_app.models import City
from watch_forms import on_loop

from quintette import API, _quintette
from quintette.db.compiled import compiled
from quintette.testing import TestClient

api = API()


@api.get("/one")
async def one() -> int:
    return 1


class Watched:
    def __init__(self, log):
        self.log = log

    def fields(self):
        self.log.append("fields")
        return [("X-Seen", "yes")]

    def end(self):
        self.log.append("end")


@pytest.fixture
def watch():
    yield _quintette.set_watch
    _quintette.set_watch(None, None)


def fail(*args):
    raise ValueError("a watcher's own")


def test_a_request_is_told_of_once(watch):
    log = []

    def begin(*args):
        log.append(args)
        return Watched(log)

    watch(begin, None)
    response = TestClient(api).get("/one?a=b")
    assert response.headers["X-Seen"] == "yes"
    (method, path, handler), *rest = log
    assert (method, path, handler.__name__, rest) == ("GET", b"/one", "one", ["fields", "end"])


def test_none_is_not_told_again(watch):
    watch(lambda *args: None, None)
    assert "X-Seen" not in TestClient(api).get("/one").headers


@pytest.mark.parametrize("broken", ["begin", "fields", "end"])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_exceptions_of_watchers_of_requests(watch, broken):
    def begin(*args):
        if broken == "begin":
            fail()
        watched = Watched([])
        made = type("Broken", (Watched,), {broken: fail})
        watched.__class__ = made
        return watched

    watch(begin, None)
    response = TestClient(api).get("/one")
    assert (response.status_code, response.json()) == (200, 1)


@pytest.mark.parametrize("query", [fail, lambda *args: fail], ids=["begin", "done"])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_exceptions_of_watchers_of_queries(watch, query, alias):
    @compiled
    def by_name(name: str):
        return City.objects.using(alias).filter(name=name)

    async def code():
        watch(None, query)
        return await by_name("city 1")

    [city] = on_loop(code())
    assert city.name == "city 1"


@pytest.mark.postgresql
def test_a_query_that_is_given_up_is_not_done(watch, watch_postgresql):
    @compiled
    def by_name(name: str):
        return City.objects.using(watch_postgresql).filter(name=name)

    done = []

    async def cancelled():
        await by_name("city 1")
        watch(None, lambda *args: done.append)

        async def ask():
            await by_name("city 2")

        task = asyncio.get_running_loop().create_task(ask())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await by_name("city 3")

    on_loop(cancelled())
    assert done == [True]
