"""What a selection reads, against what the ORM gives."""

import datetime as dt
import decimal
import uuid
from typing import Any

import msgspec
import pytest
import worlds
from django.db import connections
from django.db.models import Count, Exists, F, OuterRef, Q
from django.db.models.functions import Upper
from django.test.utils import CaptureQueriesContext
from shapes_app.models import (
    Airport,
    BigCity,
    Capital,
    City,
    Continent,
    Country,
    Everything,
    Flight,
    Mayor,
    Tag,
    Visit,
)

from quintette.db.shapes import Shape, ShapeError, computed, fetch, field


class CountryOut(Shape, model=Country):
    code: str
    name: str
    continent: Continent


class MayorOut(Shape, model=Mayor):
    name: str


class AirportOut(Shape, model=Airport):
    iata: str
    passengers: int | None


class TagOut(Shape, model=Tag):
    label: str


class CityOut(Shape, model=City):
    name: str
    population: int
    motto: str | None
    country: CountryOut
    country_name: str = field(source="country__name")
    sister: "SisterOut | None"
    mayor: MayorOut | None
    airports: list[AirportOut] = field(source="airport_set")
    tags: list[TagOut]
    tag_ids: list[int] = field(source="tags")
    labels: list[str] = field(source="hidden_tags__label")

    @computed
    def label(self) -> str:
        return f"{self.name}, {self.country.name}"


class SisterOut(Shape, model=City):
    name: str
    country: CountryOut
    mayor: MayorOut | None


def reference(city: City) -> CityOut:
    def country(one: Country) -> CountryOut:
        return CountryOut(one.code, one.name, Continent(one.continent))

    def mayor(one: City) -> MayorOut | None:
        return MayorOut(one.mayor.name) if hasattr(one, "mayor") else None

    sister = city.sister
    return CityOut(
        name=city.name,
        population=city.population,
        motto=city.motto,
        country=country(city.country),
        country_name=city.country.name,
        sister=sister and SisterOut(sister.name, country(sister.country), mayor(sister)),
        mayor=mayor(city),
        airports=[AirportOut(one.iata, one.passengers) for one in city.airport_set.all()],
        tags=[TagOut(one.label) for one in city.tags.all()],
        tag_ids=[one.pk for one in city.tags.all()],
        labels=[one.label for one in city.hidden_tags.all()],
    )


def queries(using: str) -> CaptureQueriesContext:
    return CaptureQueriesContext(connections[using])


@pytest.mark.parametrize("seed", range(4))
def test_all_relations_in_a_query_each(using: str, seed: int) -> None:
    worlds.make(using, seed)
    cities = City.objects.using(using).filter(population__lt=4000)
    with queries(using) as seen:
        found = list(CityOut.select(cities))
    assert len(seen) == 5  # itself, airports, tags, their keys, labels
    assert found == [reference(city) for city in cities]
    assert found[0].label == f"{found[0].name}, {found[0].country.name}"
    assert msgspec.json.decode(CityOut.select(cities).json(), type=list[CityOut]) == found


def test_reads_no_other_columns(using: str) -> None:
    class Small(Shape, model=City):
        name: str
        country_name: str = field(source="country__name")

    with queries(using) as seen:
        assert Small.select(City.objects.using(using)).all() == []
    sql = seen[0]["sql"]
    columns = sql[: sql.index(" FROM ")]
    assert '"name"' in columns
    assert columns.count(",") == 1
    assert "population" not in columns


def test_a_key_is_read_without_its_table(using: str) -> None:
    class Keys(Shape, model=City):
        country: str
        country_id: str
        sister: int | None
        nation: str = field(source="country__pk")

    worlds.make(using)
    with queries(using) as seen:
        found = Keys.select(City.objects.using(using)).all()
    assert "JOIN" not in seen[0]["sql"]
    expected = [
        Keys(one.country_id, one.country_id, one.sister_id, one.country_id)
        for one in City.objects.using(using)
    ]
    assert found == expected


def test_every_kind_of_field(using: str, settings_media: None) -> None:
    class All(Shape, model=Everything):
        flag: bool
        whole: int
        real: float
        exact: decimal.Decimal
        text: str
        data: bytes
        day: dt.date
        at: dt.datetime
        clock: dt.time
        span: dt.timedelta
        key: uuid.UUID
        document: dict[str, int]
        file: str
        address: str

    made = Everything.objects.using(using).create(document={"a": 1}, file="files/a b.txt")
    fresh = Everything.objects.using(using).get(pk=made.pk)
    (found,) = All.select(Everything.objects.using(using))
    for name in All.__struct_fields__:
        expected = getattr(fresh, name)
        if name == "file":
            expected = expected.url
        elif name == "data":
            expected = bytes(expected)
        assert getattr(found, name) == expected, name
        assert type(getattr(found, name)) is type(expected), name


class Facts(msgspec.Struct):
    n: int = -1


def test_json_of_a_declared_type(using: str) -> None:
    class Typed(Shape, model=City):
        facts: Facts
        raw: dict[str, object] = field(source="facts")
        deep: list[object] | None = field(source="facts__deep__list")

    worlds.make(using)
    cities = City.objects.using(using)
    for city, found in zip(cities, Typed.select(cities), strict=True):
        assert found.facts == Facts(city.facts.get("n", -1))
        assert found.raw == city.facts
        assert found.deep == city.facts.get("deep", {}).get("list")


# --- to-many ----------------------------------------------------------------------------


def test_foreign_keys_to_another_field(using: str) -> None:
    class FlightOut(Shape, model=Flight):
        number: int
        goal: AirportOut | None
        goal_id: str | None

    class Departures(Shape, model=Airport):
        iata: str
        departures: list[FlightOut]
        arriving: set[int] = field(source="arrivals__number")

    worlds.make(using)
    with queries(using) as seen:
        found = Departures.select(Airport.objects.using(using)).all()
    assert len(seen) == 3
    for airport, one in zip(Airport.objects.using(using), found, strict=True):
        assert [(flight.number, flight.goal_id) for flight in one.departures] == list(
            airport.departures.values_list("number", "goal_id")
        )
        assert [flight.goal.iata if flight.goal else None for flight in one.departures] == list(
            airport.departures.values_list("goal__iata", flat=True)
        )
        assert one.arriving == set(airport.arrivals.values_list("number", flat=True))


def test_both_ends_of_many_to_many_and_generic_relations(using: str) -> None:
    class NoteOut(Shape, model="shapes_app.Note"):
        text: str

    class Twin(Shape, model=City):
        name: str

    class Full(Shape, model=City):
        name: str
        twins: tuple[Twin, ...]
        notes: list[NoteOut]

    class TagCities(Shape, model=Tag):
        cities: list[Full]

    worlds.make(using, 3)
    list(Full.select(City.objects.using(using)))  # ContentType's cache
    with queries(using) as seen:
        found = TagCities.select(Tag.objects.using(using)).all()
    assert len(seen) == 4
    for tag, one in zip(Tag.objects.using(using), found, strict=True):
        cities = list(tag.cities.all())
        assert [city.name for city in one.cities] == [city.name for city in cities]
        for city, full in zip(cities, one.cities, strict=True):
            assert {twin.name for twin in full.twins} == {twin.name for twin in city.twins.all()}
            assert [note.text for note in full.notes] == [note.text for note in city.notes.all()]


def test_below_a_nullable_relation(using: str) -> None:
    class Sister(Shape, model=City):
        name: str
        airports: list[AirportOut] = field(source="airport_set")

    class WithSister(Shape, model=City):
        sister: Sister | None
        iatas: list[str] = field(source="sister__airport_set__iata")

    worlds.make(using, 2)
    with queries(using) as seen:
        found = WithSister.select(City.objects.using(using)).all()
    assert len(seen) == 3
    for city, one in zip(City.objects.using(using), found, strict=True):
        expected = [a.iata for a in city.sister.airport_set.all()] if city.sister else []
        assert one.iatas == expected
        assert (one.sister is None) == (city.sister is None)
        if one.sister is not None:
            assert [airport.iata for airport in one.sister.airports] == expected


def test_hooks_filter_order_and_slice_for_each_parent(using: str) -> None:
    class Big(Shape, model=City):
        name: str

        @classmethod
        def queryset(cls, queryset):  # type: ignore[no-untyped-def]
            return queryset.exclude(population=0)

    class Top(Shape, model=Country):
        code: str
        cities: list[Big] = field(queryset=lambda qs: qs.order_by("population", "pk")[:2])
        later: list[Big] = field(
            source="cities", queryset=lambda qs: qs.order_by("population", "pk")[1:2]
        )

    worlds.make(using)
    with queries(using) as seen:
        found = Top.select(Country.objects.using(using)).all()
    assert len(seen) == 3
    for country, one in zip(Country.objects.using(using), found, strict=True):
        names = [
            city.name for city in country.cities.exclude(population=0).order_by("population", "pk")
        ]
        assert [city.name for city in one.cities] == names[:2]
        assert [city.name for city in one.later] == names[1:2]
    assert [one.name for one in Big.select(City.objects.using(using))] == [
        one.name for one in City.objects.using(using).exclude(population=0)
    ]


def test_a_hook_on_many_to_many_does_not_touch_the_parents_join(using: str) -> None:
    class Tagged(Shape, model=City):
        name: str
        shared: list[TagOut] = field(
            source="tags", queryset=lambda qs: qs.filter(cities__name="City 1")
        )

    worlds.make(using, 5)
    found = Tagged.select(City.objects.using(using)).all()
    for city, one in zip(City.objects.using(using), found, strict=True):
        expected = Tag.objects.using(using).filter(cities=city).filter(cities__name="City 1")
        assert [tag.label for tag in one.shared] == [tag.label for tag in expected]
    assert any(one.shared for one in found)


def test_a_hook_on_a_to_one_relation_takes_a_query_of_its_own(using: str) -> None:
    class Asian(Shape, model=Country):
        name: str

        @classmethod
        def queryset(cls, queryset):  # type: ignore[no-untyped-def]
            return queryset.filter(continent="AS")

    class InAsia(Shape, model=City):
        country: Asian | None

    worlds.make(using)
    with queries(using) as seen:
        found = InAsia.select(City.objects.using(using)).all()
    assert len(seen) == 2
    for city, one in zip(City.objects.using(using), found, strict=True):
        assert (one.country.name if one.country else None) == (
            city.country.name if city.country.continent == "AS" else None
        )


# --- expressions ------------------------------------------------------------------------


def test_expressions_here_below_and_with_a_query(using: str) -> None:
    class Dense(Shape, model=Country):
        shout: str = field(expr=Upper("name"))
        double: int = field(expr=F("area") * 2)
        cities_count: int = field(expr=Count("cities", filter=Q(cities__population__gt=0)))

    class Below(Shape, model=Country):
        double: int = field(expr=F("area") * 2)
        shout: str = field(expr=Upper(F("name")))

    class Asked(Shape, model=Country):
        big: bool = field(
            expr=Exists(City.objects.filter(country=OuterRef("pk"), population__gt=2000))
        )

    class Held(Shape, model=City):
        name: str
        country: Below
        asked: Asked = field(source="country")

    worlds.make(using)
    expected = Country.objects.using(using).annotate(
        n=Count("cities", filter=Q(cities__population__gt=0))
    )
    assert [
        (one.shout, one.double, one.cities_count)
        for one in Dense.select(Country.objects.using(using))
    ] == [(c.name.upper(), c.area * 2, c.n) for c in expected.order_by("name")]
    with queries(using) as seen:
        found = Held.select(City.objects.using(using)).all()
    assert len(seen) == 2  # the expression with a query is asked of the countries themselves
    for city, one in zip(City.objects.using(using), found, strict=True):
        assert one.country == Below(city.country.area * 2, city.country.name.upper())
        assert one.asked.big == city.country.cities.filter(population__gt=2000).exists()


class Counted(Shape, model=City):
    name: str
    airports: int = field(expr=Count("airport"))


class CountedTag(Shape, model=Tag):
    label: str
    cities: list[Counted] = field(queryset=lambda cities: cities[:2])


def test_an_aggregate_leaves_the_models_order_and_slices_alone(using: str) -> None:
    worlds.make(using, 4)

    def counted(cities: Any) -> list[Counted]:
        return [Counted(one.name, one.airport_set.count()) for one in cities.all()]

    cities = City.objects.using(using)
    assert Counted.select(cities).all() == counted(cities)
    assert Counted.select(cities[1:4]).all() == counted(cities[1:4])
    tags = Tag.objects.using(using)
    assert CountedTag.select(tags).all() == [
        CountedTag(tag.label, counted(tag.cities.all()[:2])) for tag in tags
    ]


def test_annotations_of_the_query_set(using: str) -> None:
    class Ranked(Shape, model=City):
        name: str
        distance: int = field(annotated=True)

    worlds.make(using)
    cities = City.objects.using(using)
    found = Ranked.select(cities.annotate(distance=F("population") - 1000)).all()
    assert [one.distance for one in found] == [city.population - 1000 for city in cities]
    with pytest.raises(ShapeError, match=r"Ranked\.distance .*no annotation 'distance'"):
        Ranked.select(cities).all()


# --- recursion --------------------------------------------------------------------------


class TagTree(Shape, model=Tag):
    label: str
    children: "list[TagTree]" = field(depth=2)


class TagPath(Shape, model=Tag):
    label: str
    parent: "TagPath | None" = field(depth=3)


def test_recursion_ends_at_its_bound(using: str) -> None:
    worlds.make(using, 7)
    with queries(using) as seen:
        found = TagTree.select(Tag.objects.using(using)).all()
    assert len(seen) == 3
    with queries(using) as seen:
        paths = TagPath.select(Tag.objects.using(using)).all()
    assert len(seen) == 1

    def tree(tag: Tag, depth: int) -> TagTree:
        children = tag.children.all() if depth else ()
        return TagTree(tag.label, [tree(child, depth - 1) for child in children])

    def path(tag: Tag | None, depth: int) -> TagPath | None:
        if tag is None:
            return None
        return TagPath(tag.label, path(tag.parent, depth - 1) if depth else None)

    tags = list(Tag.objects.using(using))
    assert found == [tree(tag, 2) for tag in tags]
    assert paths == [path(tag, 3) for tag in tags]


# --- query sets of all sorts -------------------------------------------------------------


def test_query_sets_of_all_sorts(using: str) -> None:
    class Name(Shape, model=City):
        name: str
        population: int

    worlds.make(using)
    cities = City.objects.using(using)
    for queryset in (
        cities.none(),
        cities.order_by("country__name", "pk")[2:5],
        cities.filter(tags__label__startswith="tag").distinct().order_by("pk"),
        cities.order_by().union(cities.filter(population=0).order_by()).order_by("name"),
        cities.defer("name").select_related("country"),
        cities.only("pk"),
        cities.prefetch_related("tags"),
        cities.reverse(),
        cities.annotate(n=Count("airport")).filter(n__gt=1).order_by("pk"),
        Country.objects.using(using).get(pk="JP").cities.all(),
    ):
        expected = [Name(one.name, one.population) for one in queryset]
        assert Name.select(queryset).all() == expected
    assert len(Name.select(cities)) == cities.count()


def test_distinct_means_rows_not_what_is_seen_of_them(using: str) -> None:
    class Size(Shape, model=City):
        population: int

    worlds.make(using)
    cities = City.objects.using(using)
    assert len(Size.select(cities.distinct())) == cities.count()


def test_more_keys_than_one_query_takes(using: str, monkeypatch: pytest.MonkeyPatch) -> None:
    worlds.make(using)
    assert fetch.keys_max(using) >= 800
    monkeypatch.setattr(fetch, "keys_max", lambda using: 5)
    expected = [reference(city) for city in City.objects.using(using)]
    with queries(using) as seen:
        assert CityOut.select(City.objects.using(using)).all() == expected
    assert len(seen) == 1 + 4 * 3  # twelve keys, five at a time


# --- subclasses and proxies of models -----------------------------------------------------


class VisitOut(Shape, model=Visit):
    number: int


class CapitalOut(Shape, model=Capital):
    pk: int
    name: str
    since: int
    country: CountryOut
    airports: list[AirportOut] = field(source="airport_set")
    visits: list[VisitOut]


class ParentOut(Shape, model=City):
    name: str
    capital: CapitalOut | None
    airports: list[AirportOut] = field(source="airport_set")


class VisitedOut(Shape, model=Visit):
    capital: CapitalOut
    city: ParentOut


def test_subclasses_and_proxies_of_models(using: str) -> None:
    worlds.make(using)
    first, second = City.objects.using(using).filter(airport__isnull=False).distinct()[:2]
    capital = Capital(city_ptr=first, since=1947)
    capital.__dict__.update({k: v for k, v in vars(first).items() if k != "_state"})
    capital.save(using=using)
    Visit.objects.using(using).create(capital=capital, city_id=second.pk, number=3)
    airports = [AirportOut(one.iata, one.passengers) for one in first.airport_set.all()]
    country = CountryOut(first.country.code, first.country.name, Continent(first.country.continent))
    expected = CapitalOut(first.pk, first.name, 1947, country, airports, [VisitOut(3)])
    with queries(using) as seen:
        assert CapitalOut.select(Capital.objects.using(using)).all() == [expected]
    assert len(seen) == 3
    (one,) = ParentOut.select(City.objects.using(using).filter(pk=first.pk))
    assert one == ParentOut(first.name, expected, airports)
    # A shape of the parent, on rows of a proxy and of the subclass.
    assert ParentOut.select(BigCity.objects.using(using).filter(pk=first.pk)).all() == [one]
    (both,) = CityOut.select(Capital.objects.using(using))
    assert both == reference(first)
    (visited,) = VisitedOut.select(Visit.objects.using(using))
    assert visited.capital == expected
    assert (visited.city.name, visited.city.capital) == (second.name, None)
