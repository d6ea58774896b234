"""Random shapes over random rows, against the attributes of the model's instances."""

import random
from collections.abc import Callable
from typing import Any, NamedTuple, Optional

import msgspec
import pytest
import worlds
from django.contrib.contenttypes.models import ContentType
from django.db import connections, models
from django.test.utils import CaptureQueriesContext
from shapes_app.models import Airport, City, Country, Flight, Mayor, Note, Tag

from quintette import compiled
from quintette.db.shapes import Shape, field
from quintette.db.shapes.declaration import ShapeMeta

DEPTH_MAX = 3

# For each model: a field, its type and the way to its value.
SCALARS: dict[type[models.Model], list[tuple[str, Any, Callable[[Any], Any]]]] = {
    City: [
        ("id", int, lambda one: one.pk),
        ("name", str, lambda one: one.name),
        ("population", int, lambda one: one.population),
        ("motto", str | None, lambda one: one.motto),
        ("country__area", int, lambda one: one.country.area),
        ("country_id", str, lambda one: one.country_id),
        ("sister", int | None, lambda one: one.sister_id),
        ("sister__country__name", str | None, lambda one: one.sister and one.sister.country.name),
        ("mayor__name", str | None, lambda one: one.mayor.name if hasattr(one, "mayor") else None),
        ("facts", dict[str, Any], lambda one: one.facts),
        ("tags__label", list[str], lambda one: [tag.label for tag in one.tags.all()]),
        ("airport_set", list[int], lambda one: [a.pk for a in one.airport_set.all()]),
    ],
    Country: [
        ("code", str, lambda one: one.code),
        ("area", int, lambda one: one.area),
        ("cities__name", list[str], lambda one: [city.name for city in one.cities.all()]),
    ],
    Tag: [
        ("label", str, lambda one: one.label),
        ("parent__label", str | None, lambda one: one.parent and one.parent.label),
    ],
    Note: [("text", str, lambda one: one.text), ("object_id", str, lambda one: one.object_id)],
    Mayor: [("name", str, lambda one: one.name)],
    Airport: [
        ("iata", str, lambda one: one.iata),
        ("passengers", int | None, lambda one: one.passengers),
    ],
    Flight: [("number", int, lambda one: one.number), ("origin", str, lambda one: one.origin_id)],
}
# A relation, where it leads, and whether it may lead nowhere; None: it leads to many.
RELATIONS: dict[type[models.Model], list[tuple[str, type[models.Model], bool | None]]] = {
    City: [
        ("country", Country, False), ("sister", City, True), ("mayor", Mayor, True),
        ("tags", Tag, None), ("twins", City, None), ("notes", Note, None),
        ("hidden_tags", Tag, None), ("airport_set", Airport, None), ("city_set", City, None),
    ],
    Country: [("cities", City, None)],
    Tag: [("parent", Tag, True), ("children", Tag, None), ("cities", City, None)],
    Note: [],
    Mayor: [("city", City, False)],
    Airport: [("city", City, False), ("departures", Flight, None), ("arrivals", Flight, None)],
    Flight: [("origin", Airport, False), ("goal", Airport, True)],
}  # fmt: skip


class Made(NamedTuple):
    shape: Any
    expected: Callable[[Any], Any]
    queries: int


def make(chance: random.Random, model: type[models.Model], depth: int = 0) -> Made:
    """A shape, what it makes of an instance, and its queries beside the first."""
    annotations: dict[str, Any] = {}
    namespace: dict[str, Any] = {"__annotations__": annotations, "__module__": __name__}
    ways: dict[str, Callable[[Any], Any]] = {}
    queries = 0
    scalars = SCALARS[model]
    for source, tp, way in chance.sample(scalars, chance.randrange(1, len(scalars) + 1)):
        name = f"f{len(ways)}"
        annotations[name], ways[name] = tp, way
        namespace[name] = field(source=source)
        queries += getattr(tp, "__origin__", None) is list
    relations = RELATIONS[model] if depth < DEPTH_MAX else []
    for source, related, optional in chance.sample(relations, min(len(relations), 2)):
        name = f"f{len(ways)}"
        inner = make(chance, related, depth + 1)
        queries += inner.queries + (optional is None)
        namespace[name] = field(source=source)
        if optional is None:
            annotations[name], ways[name] = list[inner.shape], many(source, inner)
        else:
            annotations[name] = Optional[inner.shape] if optional else inner.shape  # noqa: UP045
            ways[name] = one(source, inner)
    shape = ShapeMeta(f"Random{depth}", (Shape,), namespace, model=model)
    return Made(shape, lambda it: {name: way(it) for name, way in ways.items()}, queries)


def many(source: str, inner: Made) -> Callable[[Any], Any]:
    return lambda it: [inner.expected(other) for other in getattr(it, source).all()]


def one(source: str, inner: Made) -> Callable[[Any], Any]:
    def way(it: Any) -> Any:
        other = getattr(it, source, None)
        return None if other is None else inner.expected(other)

    return way


@pytest.mark.parametrize("seed", range(24))
def test_random_shapes(using: str, seed: int) -> None:
    chance = random.Random(seed)
    worlds.make(using, seed, cities=chance.randrange(9))
    model: Any = chance.choice(list(SCALARS))
    made = make(chance, model)
    queryset = model.objects.using(using).order_by("pk")
    expected = [made.expected(it) for it in queryset]
    ContentType.objects.db_manager(using).get_for_model(City)  # Django looks it up once
    with CaptureQueriesContext(connections[using]) as seen:
        found = made.shape.select(queryset).all()
    assert len(seen) <= 1 + made.queries
    assert [msgspec.to_builtins(it) for it in found] == expected
    assert msgspec.json.decode(made.shape.select(queryset).json()) == expected
    streamed = b"".join(made.shape.select(queryset).stream(chunk_size=2))
    assert msgspec.json.decode(streamed) == expected

    @compiled(shape=made.shape)
    def everything():  # type: ignore[no-untyped-def]
        return queryset

    for _ in range(2):
        assert everything().get() == found
    node = everything._statement().python.node
    asked = [] if node.in_c else list(node._ask._queries.values())
    assert None not in asked, "a relation was not compiled"
