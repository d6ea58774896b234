"""N+1: which line asks again and again, for what, and what to do about it."""

import pytest
from django.contrib.contenttypes.models import ContentType
from watch_app.models import COUNT, City, Country, Tag
from watch_forms import here, on_loop

from quintette.db import watch
from quintette.db.compiled import compiled


def forward(alias):
    return [city.country.name for city in City.objects.using(alias)]


def reverse(alias):
    return [list(country.cities.all()) for country in Country.objects.using(alias)]


def reverse_filtered(alias):
    return [list(c.cities.filter(name="city 1")) for c in Country.objects.using(alias)]


def reverse_ordered(alias):
    return [list(c.cities.order_by("name")) for c in Country.objects.using(alias)]


def reverse_first(alias):
    return [country.cities.first() for country in Country.objects.using(alias)]


def reverse_one(alias):
    return [city.mayor.name for city in City.objects.using(alias)]


def many(alias):
    return [list(city.tags.all()) for city in City.objects.using(alias)]


def many_reverse(alias):
    return [list(tag.places.all()) for tag in Tag.objects.using(alias)]


def many_count(alias):
    return [city.tags.count() for city in City.objects.using(alias)]


def many_exists(alias):
    return [city.tags.exists() for city in City.objects.using(alias)]


def count(alias):
    return [country.cities.count() for country in Country.objects.using(alias)]


def only(alias):
    return [country.code for country in Country.objects.using(alias).only("name")]


def defer(alias):
    return [country.code for country in Country.objects.using(alias).defer("code")]


def by_key(alias):
    return [City.objects.using(alias).get(name=f"city {number}") for number in range(COUNT)]


def written(alias):
    for number in range(COUNT):
        Tag(word=f"new {number}").save(using=alias)


def updated(alias):
    for number in range(COUNT):
        Tag.objects.using(alias).filter(word=f"new {number}").update(word="new")


def deleted(alias):
    for _ in range(COUNT):
        Tag.objects.using(alias).filter(word="new")._raw_delete(alias)


CASES = [
    (forward, "City.country", 'select_related("country") to the query set that gives the City'),
    (
        reverse,
        "Country.cities",
        'prefetch_related("cities") to the query set that gives the Countr',
    ),
    (reverse_filtered, "Country.cities", 'prefetch_related(Prefetch("cities", queryset='),
    (reverse_ordered, "Country.cities", 'prefetch_related(Prefetch("cities", queryset='),
    (reverse_first, "Country.cities", 'prefetch_related(Prefetch("cities", queryset='),
    (reverse_one, "City.mayor", 'select_related("mayor")'),
    (many, "City.tags", 'prefetch_related("tags")'),
    (many_reverse, "Tag.places", 'prefetch_related("places")'),
    (many_count, "City.tags", 'Count("tags")'),
    (many_exists, "City.tags", "Exists(...)"),
    (count, "Country.cities", 'Count("cities")'),
    (only, "Country.code", 'add "code" to only()'),
    (defer, "Country.code", "take it out of defer()"),
    (by_key, "City", "City.objects.in_bulk(keys)"),
    (written, "", "bulk_create()"),
    (updated, "", "bulk_update()"),
    (deleted, "", "one delete()"),
]


@pytest.mark.parametrize(("code", "relation", "advice"), CASES, ids=lambda case: case)
def test_fix(code, relation, advice, queries_of, alias):
    record = queries_of(lambda: code(alias))
    [repeated] = record.in_loops()
    assert repeated.count == COUNT
    assert repeated.line.function.startswith(code.__name__)
    assert repeated.line.path == __file__
    assert repeated.fix is not None
    assert repeated.fix.relation == relation
    assert advice in repeated.fix.advice


@pytest.mark.parametrize(
    "code",
    [
        lambda alias: [c.country.name for c in City.objects.using(alias).select_related("country")],
        lambda alias: [
            list(c.cities.all()) for c in Country.objects.using(alias).prefetch_related("cities")
        ],
        lambda alias: [
            list(c.tags.all()) for c in City.objects.using(alias).prefetch_related("tags")
        ],
        lambda alias: [c.code for c in Country.objects.using(alias).only("name", "code")],
    ],
)
def test_what_is_advised_is_a_fix(code, queries_of, alias):
    record = queries_of(lambda: code(alias))
    assert record.in_loops() == []
    assert record.count <= 2


def test_fewer_are_no_loop(watch_sqlite):
    def code():
        for city in City.objects.using(watch_sqlite)[:4]:
            city.country  # noqa: B018

    assert here(code).in_loops() == []
    with watch.recorded(repeats_min=4) as record:
        code()
    assert [repeated.count for repeated in record.in_loops()] == [4]


def test_same_statement_of_different_lines_is_no_loop(watch_sqlite):
    def code():
        tags = Tag.objects.using(watch_sqlite)
        tags.count()
        tags.count()
        tags.count()
        tags.count()
        tags.count()

    assert here(code).in_loops() == []


def test_asynchronous_loop(alias):
    async def related(city):
        return [tag async for tag in city.tags.all()]

    async def code():
        with watch.recorded() as record:
            async for city in City.objects.using(alias):
                await related(city)
        return record

    [repeated] = on_loop(code()).in_loops()
    assert "related" in repeated.line.function.split(".")
    assert repeated.fix.relation == "City.tags"


def test_compiled_query_in_a_loop(alias):
    @compiled
    def of_country(pk: int):
        return City.objects.using(alias).filter(country_id=pk)

    async def code():
        with watch.recorded() as record:
            for number in range(COUNT):
                await of_country(number)
        return record

    [repeated] = on_loop(code()).in_loops()
    assert "code" in repeated.line.function.split(".")
    assert "of_country() once, with a list" in repeated.fix.advice


def test_generic_foreign_key():
    from django.contrib.contenttypes.fields import GenericForeignKey

    from quintette.db.watch import fixes

    field = GenericForeignKey()
    field.name = "content_object"
    fix = fixes._DESCRIPTORS["GenericForeignKey"](field, ContentType())
    assert 'prefetch_related("content_object")' in fix.advice
