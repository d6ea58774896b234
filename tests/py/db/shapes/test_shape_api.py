"""Shapes as what handlers of the typed API take and return."""

from typing import Any

import pytest
import worlds
from asgiref.sync import async_to_sync
from django.db.models import QuerySet
from shapes_app.models import Airport, City, Country

from quintette import API, CursorPage, OffsetPage, Page, Shape, Stream, field
from quintette.testing import AsyncTestClient, TestClient


class CountryOut(Shape, model=Country):
    name: str


class CityOut(Shape, model=City):
    name: str
    country: CountryOut
    size: int = field(source="population")
    iatas: list[str] = field(source="airport_set__iata")


class AirportIn(Shape, model=Airport):
    iata: str
    city: int


class AirportOut(Shape, model=Airport):
    iata: str
    city_id: int


api = API()
ALIAS = ""


def cities() -> QuerySet[City]:
    return City.objects.using(ALIAS).order_by("name")


@api.get("/selection")
def list_selection() -> list[CityOut]:
    return CityOut.select(cities())


@api.get("/queryset")
def list_queryset() -> list[CityOut]:
    return cities()  # type: ignore[return-value]


@api.get("/list")
def list_list() -> list[CityOut]:
    return CityOut.select(cities()).all()


@api.get("/instances")
def list_instances() -> list[CityOut]:
    return sorted(cities(), key=lambda city: city.name)  # type: ignore[return-value]


@api.get("/undeclared")
def undeclared():  # type: ignore[no-untyped-def]
    return CityOut.select(cities())


@api.get("/related")
def related(code: str) -> list[CityOut]:
    return Country.objects.using(ALIAS).get(pk=code).cities.order_by("name")  # type: ignore[return-value]


@api.get("/one")
def one(name: str) -> CityOut:
    return CityOut.select(cities().filter(name=name)).one


@api.get("/instance")
def instance(name: str) -> CityOut:
    return cities().get(name=name)  # type: ignore[return-value]


@api.get("/maybe")
def maybe(name: str) -> CityOut | None:
    return CityOut.select(cities().filter(name=name)).one


@api.get("/page")
def page(number: int = 1) -> Page[CityOut]:
    return CityOut.select(cities()).page(number, 5)


@api.get("/sliced")
def sliced() -> Page[CityOut]:
    return CityOut.select(cities())[5:10]  # type: ignore[return-value]


@api.get("/offset")
def offset() -> OffsetPage[CityOut]:
    return cities()[3:7]  # type: ignore[return-value]


@api.get("/cursor")
def cursor(after: str | None = None) -> CursorPage[CityOut]:
    return CityOut.select(cities()).cursor(after, 5)


@api.get("/stream")
def stream() -> Stream:
    return Stream(CityOut.select(cities()).stream(), content_type="application/json")


@api.get("/wrong")
def wrong() -> list[CityOut]:
    return CountryOut.select(Country.objects.using(ALIAS))  # type: ignore[return-value]


@api.get("/unsliced")
def unsliced() -> Page[CityOut]:
    return CityOut.select(cities())  # type: ignore[return-value]


@api.post("/airports", status=201)
def create(body: AirportIn) -> AirportOut:
    return body.create(using=ALIAS)  # type: ignore[no-any-return]


@api.get("/async/selection")
async def async_selection() -> list[CityOut]:
    return CityOut.select(cities())


@api.get("/async/awaited")
async def async_awaited() -> list[CityOut]:
    return await CityOut.select(cities())


@api.get("/async/one")
async def async_one(name: str) -> CityOut:
    return CityOut.select(cities().filter(name=name)).one


@api.get("/async/sliced")
async def async_sliced() -> Page[CityOut]:
    return cities()[5:10]  # type: ignore[return-value]


@api.get("/async/stream")
async def async_stream() -> Stream:
    return Stream(CityOut.select(cities()).astream("jsonl"), content_type="application/jsonl")


@pytest.fixture
def client(using: str) -> TestClient:
    global ALIAS
    ALIAS = using
    worlds.make(using)
    return TestClient(api, raise_errors=False)


def expected(queryset: Any) -> list[Any]:
    return [
        {
            "name": city.name,
            "country": {"name": city.country.name},
            "size": city.population,
            "iatas": [airport.iata for airport in city.airport_set.all()],
        }
        for city in queryset
    ]


def answer(response: Any) -> Any:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    return response.json()


def test_lists(client: TestClient) -> None:
    for path in ("/selection", "/queryset", "/list", "/instances", "/undeclared", "/stream"):
        assert answer(client.get(path)) == expected(cities())
    assert answer(client.get("/related?code=JP")) == expected(cities().filter(country="JP"))


def test_one(client: TestClient) -> None:
    (city,) = expected(cities().filter(name="City 4"))
    for path in ("/one", "/instance", "/maybe"):
        assert answer(client.get(f"{path}?name=City 4")) == city
    assert answer(client.get("/maybe?name=x")) is None
    assert client.get("/one?name=x").status_code == 404


def test_pages(client: TestClient) -> None:
    items = expected(cities())
    second = {"items": items[5:10], "page": 2, "size": 5, "total": 12, "has_next": True}
    assert answer(client.get("/page?number=2")) == second
    assert answer(client.get("/sliced")) == second
    assert answer(client.get("/offset")) == {
        "items": items[3:7], "offset": 3, "limit": 4, "total": 12, "has_next": True,
    }  # fmt: skip
    first = answer(client.get("/cursor"))
    assert first["items"] == items[:5]
    assert answer(client.get("/cursor?after=" + first["next"]))["items"] == items[5:10]
    assert client.get("/cursor?after=x").status_code == 400
    assert client.get("/page?number=0").status_code == 400


def test_wrong_results_are_the_servers_fault(client: TestClient) -> None:
    for path in ("/wrong", "/unsliced"):
        assert client.get(path).status_code == 500
    with pytest.raises(Exception, match="declared CityOut, returned a selection of CountryOut"):
        TestClient(api).get("/wrong")
    with pytest.raises(Exception, match=r"return what \.page\(\) gives, or a selection"):
        TestClient(api).get("/unsliced")


def test_input(client: TestClient) -> None:
    city = cities()[0].pk
    made = client.post("/airports", json={"iata": "XYZ", "city": city})
    assert made.status_code == 201
    assert made.json() == {"iata": "XYZ", "city_id": city}
    if ALIAS == "default":  # Django asks no other database whether a field's value is unique
        refused = client.post("/airports", json={"iata": "XYZ", "city": city})
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["loc"] == ["iata"]
    assert client.post("/airports", json={"iata": "XYZ"}).status_code == 422


def test_asynchronous_handlers(client: TestClient) -> None:
    items = expected(cities())

    async def use() -> None:
        asking = AsyncTestClient(api, raise_errors=False)
        for path in ("/async/selection", "/async/awaited"):
            assert answer(await asking.get(path)) == items
        assert answer(await asking.get("/async/one?name=City 1")) == items[1]
        assert (await asking.get("/async/one?name=x")).status_code == 404
        assert answer(await asking.get("/async/sliced"))["items"] == items[5:10]
        lines = await asking.get("/async/stream")
        assert len(lines.content.splitlines()) == len(items)

    async_to_sync(use)()
