"""Instances made of input, and changed by it."""

from typing import Any

import msgspec
import pytest
import worlds
from asgiref.sync import async_to_sync
from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db import IntegrityError, connections, transaction
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from msgspec import UNSET, UnsetType
from shapes_app.models import Airport, City, Continent, Country, Mayor, Tag

from quintette.db.shapes import Shape, ShapeError, computed, field


class CountryIn(Shape, model=Country):
    code: str
    name: str
    continent: Continent
    area: int = 1


class CountryKey(Shape, model=Country):
    code: str


class CountryName(Shape, model=Country):
    name: str
    area: int | UnsetType = UNSET


class TagKey(Shape, model=Tag):
    label: str


class CityIn(Shape, model=City):
    name: str
    country: str
    size: int = field(source="population", default=0)
    motto: str | None = None
    sister_id: int | None = None
    tags: list[int] = field(default_factory=list)
    note: str = field(from_model=False, default="")

    @computed
    def shown(self) -> str:
        return self.name


class CityPatch(Shape, model=City):
    id: int | UnsetType = UNSET
    name: str | UnsetType = UNSET
    population: int | UnsetType = UNSET
    country: CountryKey | UnsetType = UNSET
    tags: list[TagKey] | UnsetType = UNSET


class Named(Shape, model=City):
    name: str
    country: CountryName
    sister: CityPatch | None = None


def refused(call: Any) -> dict[str, list[str]]:
    with pytest.raises(ValidationError) as error:
        call()
    return dict(error.value.message_dict)


def test_create(using: str) -> None:
    worlds.make(using)
    made = CountryIn("XX", "Nowhere", Continent.ASIA).create(using=using)
    fresh = Country.objects.using(using).get(pk="XX")
    assert (made, fresh.name, fresh.continent, fresh.area) == (fresh, "Nowhere", "AS", 1)
    tags = list(Tag.objects.using(using).all()[:2])
    body = msgspec.json.encode(
        {"name": "Here", "country": "XX", "size": 5, "tags": [tag.pk for tag in tags]}
    )
    city = msgspec.json.decode(body, type=CityIn).create(using=using)
    fresh_city = City.objects.using(using).get(pk=city.pk)
    assert (fresh_city.population, fresh_city.motto, fresh_city.country) == (5, None, made)
    assert list(fresh_city.tags.all()) == tags
    more = CityIn("There", "XX").create(using=using, motto="Given", sister=city)
    assert (more.motto, more.sister_id) == ("Given", city.pk)
    with pytest.raises(FieldDoesNotExist):
        CityIn("Else", "XX").create(using=using, mottto="Given")


def test_create_is_one_transaction(using: str) -> None:
    worlds.make(using)
    before = City.objects.using(using).count()
    city = CityIn("Here", "PK", tags=[1_000_000_000])
    assert refused(lambda: city.create(using=using)) == {"tags": ["There is no tag: 1000000000"]}
    assert City.objects.using(using).count() == before
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("quintette.db.shapes.writing._set_many", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            CityIn("Here", "PK").create(using=using)
    assert City.objects.using(using).count() == before


def test_validation(using: str) -> None:
    worlds.make(using)
    long = CityIn("x" * 101, "PK", size=-1)
    said = refused(lambda: long.create(using=using))
    assert list(said) == ["name", "size"]  # by the shape's names
    assert list(refused(lambda: CityIn("x", "ZZ").create(using=using))) == ["country"]
    twice = CityIn("City 1", City.objects.using(using).get(name="City 1").country_id)
    assert "__all__" in refused(lambda: twice.create(using=using))
    with pytest.raises(IntegrityError), transaction.atomic(using=using):
        twice.create(using=using, full_clean=False)


def test_update_writes_what_is_given_and_nothing_else(using: str) -> None:
    worlds.make(using)
    city = City.objects.using(using).get(name="City 1")
    changed, old = city.changed, city.country_id
    City.objects.using(using).filter(pk=city.pk).update(motto="meanwhile")
    with CaptureQueriesContext(connections[using]) as seen:
        assert CityPatch(id=77, population=9).update(city, full_clean=False) is city
    (sql,) = [query["sql"] for query in seen if query["sql"].startswith("UPDATE")]
    assert "motto" not in sql
    fresh = City.objects.using(using).get(pk=city.pk)
    assert (fresh.population, fresh.motto, fresh.country_id) == (9, "meanwhile", old)
    assert fresh.changed > changed
    labels = [TagKey("tag1"), TagKey("tag3")]
    CityPatch(country=CountryKey("JP"), tags=labels).update(city)
    fresh = City.objects.using(using).get(pk=city.pk)
    assert fresh.country_id == "JP"
    assert [tag.label for tag in fresh.tags.all()] == ["tag1", "tag3"]
    CityPatch(tags=[]).update(city, motto="given")
    fresh.refresh_from_db()
    assert (list(fresh.tags.all()), fresh.motto) == ([], "given")
    with pytest.raises(TypeError, match="writes City, not Tag"):
        CityPatch().update(Tag())


def test_update_validates_what_is_written_and_uniqueness_with_the_rest(using: str) -> None:
    worlds.make(using)
    country = Country.objects.using(using).get(pk="PK")
    one = City.objects.using(using).create(name="A", country=country)
    City.objects.using(using).create(name="B", country=country)
    City.objects.using(using).filter(pk=one.pk).update(name="")
    one.refresh_from_db()
    CityPatch(population=3).update(one)  # its name is not of this input
    assert "__all__" in refused(lambda: CityPatch(name="B").update(one))
    assert list(refused(lambda: CityPatch(name="").update(one))) == ["name"]


def test_nested_objects_name_existing_ones(using: str) -> None:
    worlds.make(using)
    sister = City.objects.using(using).get(name="City 2")
    made = Named("New", CountryName("Japan"), CityPatch(id=sister.pk)).create(using=using)
    assert (made.country_id, made.sister_id) == ("JP", sister.pk)
    for wrong, name in (
        (Named("New2", CountryName("Atlantis")), "country"),
        (Named("New2", CountryName("Japan", area=10**6)), "country"),
        (Named("New2", CountryName("Japan"), CityPatch(name="City 2")), "sister"),
        (Named("New2", CountryName("Japan"), CityPatch(id=10**9)), "sister"),
    ):
        assert list(refused(lambda wrong=wrong: wrong.create(using=using))) == [name]


def test_apply_saves_nothing(using: str) -> None:
    worlds.make(using)
    city = City.objects.using(using).get(name="City 1")
    assert CityPatch(name="Other").apply(city, motto="x") is city
    assert (city.name, city.motto) == ("Other", "x")
    city.refresh_from_db()
    assert city.name == "City 1"


def test_asynchronous_twins(using: str) -> None:
    worlds.make(using)

    async def use() -> None:
        city = await CityIn("Here", "PK").acreate(using=using)
        assert (await CityPatch(name="There").aupdate(city)).name == "There"
        assert (await CityPatch(name="Else").aapply(city)).name == "Else"

    async_to_sync(use)()
    assert City.objects.using(using).filter(name="There").exists()


class Expr(Shape, model=City):
    double: int = field(expr=F("population") * 2)


class Far(Shape, model=City):
    country: str = field(source="country__name")


class Other(Shape, model=City):
    airports: list[str] = field(source="airport_set__iata")


class OtherEnd(Shape, model=City):
    airport_set: list[int]


class NoKey(Shape, model=Mayor):
    city: "NoKeyCity"


class NoKeyCity(Shape, model=City):
    population: int


class Iata(Shape, model=Airport):
    annotated: int = field(annotated=True)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (Expr(1), "Expr.double .*made by the database"),
        (Far("x"), "Far.country .*'country__name' is no field"),
        (Other([]), "Other.airports .*is no field"),
        (OtherEnd([]), "OtherEnd.airport_set .*the other end of a relation"),
        (NoKey(NoKeyCity(1)), "NoKey.city .*NoKeyCity has no unique field of City"),
        (Iata(1), "made by the database"),
    ],
)
def test_what_can_only_be_read(made: Any, said: str) -> None:
    with pytest.raises(ShapeError, match=said):
        made.create()
