"""Compiled queries as results of handlers, and what explain() says of them."""

import asyncio

import msgspec
import pytest
import test_compiled_queries as queries
from compiled_models import City
from test_compiled_queries import CityOut, cities, plain, related, state_of

from quintette import API, BigInt, _quintette, in_loop
from quintette.db.compiled import ParameterError, compiled
from quintette.testing import TestClient


@pytest.fixture(autouse=True)
def using(alias):
    queries.USING = alias


class Named(msgspec.Struct):
    name: str
    population: int


def by_code(code: str) -> list[Named]:
    return cities().filter(country__code=code)


def one(pk: int) -> Named:
    return cities().filter(pk=pk)


def make_api():
    api = API(title="Compiled", version="1")
    query, single = compiled(by_code), compiled(one)

    @api.get("/json-async")
    async def json_async(code: str):
        return query.json(code)

    @api.get("/json-thread")
    def json_thread(code: str):
        return query.json(code)

    @api.get("/json-loop")
    @in_loop
    def json_loop(code: str):
        return query.json(code)

    @api.get("/objects-async")
    async def objects_async(code: str) -> list[Named]:
        return query(code)

    @api.get("/objects-thread")
    def objects_thread(code: str) -> list[Named]:
        return query(code)

    @api.get("/objects-loop")
    @in_loop
    def objects_loop(code: str) -> list[Named]:
        return query(code)

    @api.get("/awaited")
    async def awaited(code: str) -> list[Named]:
        return await query(code)

    @api.get("/one/{pk}")
    async def get_one(pk: int):
        return single.json(pk)

    return api


PATHS = [
    "json-async", "json-thread", "json-loop", "objects-async", "objects-thread", "objects-loop",
    "awaited",
]  # fmt: skip


@pytest.mark.parametrize("backend", ["native", "django"])
@pytest.mark.parametrize("path", PATHS)
def test_handler(path, backend):
    client = TestClient(make_api(), backend=backend)
    expected = [Named(city.name, city.population) for city in cities().filter(country__code="PK")]
    for _ in range(2):
        response = client.get(f"/{path}?code=PK")
        assert response.status_code == 200
        assert response.headers["content-type"] == "application/json"
        assert response.content == msgspec.json.encode(expected)


def test_row_that_is_not_there():
    client = TestClient(make_api())
    assert client.get("/one/3").status_code == 200
    with pytest.raises(City.DoesNotExist):
        client.get("/one/999")


# --- explain ---------------------------------------------------------------------------------


def test_explain_names_what_goes_through_python():
    query = compiled(shape=CityOut)(related)
    text = query.explain("PK")
    assert "LIMIT $2" in text
    assert "Column 2 through Python: ShoutedField has from_db_value()" in text
    assert "SCAN" in text or "SEARCH" in text or "Scan" in text


def test_explain_of_what_is_all_in_c():
    assert "through Python" not in compiled(by_code).explain("PK")


# --- in Python's hands -------------------------------------------------------------------------


def test_pending_is_run_each_time_it_is_asked():
    pending = compiled(related)("PK")
    assert [state_of(city) for city in pending] == [state_of(city) for city in pending.get()]


def test_json_of_instances_has_their_columns():
    got = msgspec.json.decode(compiled(related).json("PK", 1).get())
    (expected,) = related("PK", 1)
    assert list(got[0]) == [field.attname for field in City._meta.concrete_fields]
    assert got == msgspec.json.decode(msgspec.json.encode([plain(expected)]))


# --- values that no query takes -------------------------------------------------------------


def sliced(page: int, size: int) -> list[Named]:
    return cities().order_by("pk")[(page - 1) * size : page * size]


def counted(least: int, names: list[str]) -> list[Named]:
    return cities().filter(population__gte=least, name__in=names)


@pytest.mark.parametrize(
    ("path", "names", "message"),
    [
        ("/text?code=a%00b", ["code"], "contains a NUL character"),
        ("/sliced?page=4611686018427387904&size=4", ["page", "size"], "exceeds 64 bits"),
        ("/sliced?page=0&size=4", ["page", "size"], "Negative indexing"),
        ("/sliced?page=36893488147419103232&size=4", ["page"], "exceeds 64 bits"),
        ("/counted?least=9223372036854775808&names=a", ["least"], "exceeds 64 bits"),
        ("/counted?least=1&names=a&names=%00", ["names"], "contains a NUL character"),
    ],
)
@pytest.mark.parametrize("kind", ["async", "thread"])
@pytest.mark.parametrize("as_json", [True, False])
def test_what_no_query_takes_is_the_requests_fault(alias, path, names, message, kind, as_json):
    texts, slices, counts = compiled(by_code), compiled(sliced), compiled(counted)
    calls = {
        "/text": lambda code: [texts, code],
        "/sliced": lambda page, size: [slices, page, size],
        "/counted": lambda least, names: [counts, least, names],
    }

    def call(route, *args):
        query, *values = calls[route](*args)
        return (query.json if as_json else query)(*values)

    api = API(title="Compiled", version="1")
    if kind == "async":

        @api.get("/text")
        async def text(code: str) -> list[Named]:
            return call("/text", code)

        @api.get("/sliced")
        async def some(page: BigInt, size: int) -> list[Named]:
            return call("/sliced", page, size)

        @api.get("/counted")
        async def many(least: BigInt, names: list[str]) -> list[Named]:
            return call("/counted", least, names)

    else:

        @api.get("/text")
        def text(code: str) -> list[Named]:
            return call("/text", code)

        @api.get("/sliced")
        def some(page: BigInt, size: int) -> list[Named]:
            return call("/sliced", page, size)

        @api.get("/counted")
        def many(least: BigInt, names: list[str]) -> list[Named]:
            return call("/counted", least, names)

    answer = TestClient(api).get(path)
    assert answer.status_code == 422, answer.content
    errors = answer.json()["errors"]
    assert [error["loc"] for error in errors] == [[name] for name in names]
    assert all(message in error["msg"] for error in errors)


def test_what_no_query_takes_outside_of_requests(alias):
    async def awaited():
        return await compiled(sliced)(1 << 62, 4)

    def on_our_loop():
        with asyncio.Runner(
            loop_factory=lambda: asyncio.SelectorEventLoop(_quintette.Poller())
        ) as runner:
            return runner.run(awaited())

    for call, words in [
        (lambda: compiled(by_code)("\0"), "^code: contains a NUL character$"),
        (lambda: compiled(sliced)(1 << 62, 4).get(), "^page, size: .* exceeds 64 bits$"),
        (on_our_loop, "^page, size: .* exceeds 64 bits$"),
        (lambda: compiled(sliced)(1 << 64, 4), "^page: exceeds 64 bits$"),
        (lambda: compiled(counted)(1, ["a", "\0"]), "^names: contains a NUL"),
        (lambda: compiled(sliced)(-1, 4).get(), "^page, size: Negative indexing"),
    ]:
        with pytest.raises(ParameterError, match=words):
            call()
