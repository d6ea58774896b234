"""Declarations that do not fit their model: what is said, and where it points to."""

import enum
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest
from django.db import models
from django.db.models import Count, F
from shapes_app.models import City, Continent, Country, Everything, Note, Tag

from quintette.db.shapes import Shape, ShapeError, checks, computed, field

HERE = Path(__file__)


class Half(enum.StrEnum):
    ASIA = "AS"


class Plain(msgspec.Struct):
    code: str


class CountryOut(Shape, model=Country):
    code: str


class Name(Shape, model=City):
    name: str


class TagOut(Shape, model=Tag):
    label: str


WRONG: list[tuple[type[models.Model], Any, Any, str]] = [
    # model, annotation, field(), what is said
    (City, str, {"source": "naem"}, "City has no field 'naem'; did you mean 'name'?"),
    (City, str, {"source": "country__nmae"}, "Country has no field 'nmae'; did you mean 'name'?"),
    (City, str, {"source": "name__x"}, "'name' leads to no other model"),
    (Country, str, {"source": "shout"}, "Country.shout is a property, which no query can read"),
    (Country, str, {"source": "full_clean"}, "Country.full_clean is a method"),
    (City, str, {"source": "zzzzzz"}, "it has airport_set, capital, changed, city_set, country"),
    (City, str, {"source": "population"}, "PositiveIntegerField gives int, not str"),
    (City, int | bool, {"source": "name"}, "CharField gives str, not int | bool"),
    (City, int, {"source": "country"}, "CharField gives str, not int"),
    (City, bool, {"source": "population"}, "gives int, not bool"),
    (Everything, float, {"source": "exact"}, "DecimalField gives Decimal, not float"),
    (City, str, {"source": "motto"}, "may be NULL: declare str | None"),
    (City, str, {"source": "sister__name"}, "may be NULL: declare str | None"),
    (City, str, {"source": "mayor__name"}, "may be NULL: declare str | None"),
    (City, Name, {"source": "sister"}, "may be NULL: declare Name | None"),
    (Country, Half, {"source": "continent"}, "the field may hold 'EU', which the type does not"),
    (Country, Literal["AS"], {"source": "continent"}, "the field may hold 'EU'"),
    (Country, Literal[1], {"source": "continent"}, "CharField gives str"),
    (City, Continent, {"source": "population"}, "gives int, not Continent"),
    (City, CountryOut, {"source": "sister"}, "leads to City, but CountryOut is of Country"),
    (City, Plain, {"source": "country"}, "Plain is no Shape"),
    (City, list[Plain], {"source": "tags"}, "Plain is no Shape"),
    (City, TagOut, {"source": "tags"}, "leads to many: declare a list"),
    (City, list[int], {"source": "tags__label"}, "CharField gives str, not int"),
    (City, list[str], {"source": "tags__cities__name"}, "two relations to many"),
    (City, list[Name], {"source": "tags__parent"}, "leads beyond 'tags'"),
    (City, CountryOut, {"source": "name"}, "CharField is no relation"),
    (Note, int, {"source": "target"}, "is a GenericForeignKey"),
    (City, int, {"expr": F("nothing")}, "expr: Cannot resolve keyword 'nothing'"),
    (City, str, {"expr": Count("airport")}, "gives int, not str"),
    (City, int, {"expr": "F"}, "expr:"),
    (City, int, {"from_model": False}, "is not from the model, and so it needs a default"),
    (City, int, {"source": "population", "depth": 2}, "are for relations to shapes"),
    (City, str, {"source": "facts__a"}, "may be missing from the JSON: declare str | None"),
]


@pytest.mark.parametrize(("model", "tp", "options", "said"), WRONG, ids=lambda x: str(x)[:40])
def test_refused(model: type[models.Model], tp: Any, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ShapeError) as error:

        class Wrong(Shape, model=model):
            value: tp = field(**options)  # type: ignore[valid-type]

    text = str(error.value)
    assert said in text
    line = next(
        number
        for number, one in enumerate(HERE.read_text().splitlines(), 1)
        if one.strip().startswith("value: tp")
    )
    assert f"Wrong.value ({HERE}:{line}): " in text


def test_fits() -> None:
    class Fits(Shape, model=Country):
        code: str
        pk: str
        continent: Literal["AS", "EU"] | None
        area: float
        everything: Any = field(source="name")
        other: object = field(source="name")
        rest: int = field(from_model=False, default=3)

    assert Fits.__struct_fields__[-1] == "rest"


def test_recursion_without_a_bound() -> None:
    with pytest.raises(ShapeError, match=r"field\(depth=\.\.\.\)"):
        Endless.select()
    with pytest.raises(ShapeError, match=r"leads back to RingA without an end"):
        RingA.select()
    with pytest.raises(ShapeError, match=r"is None where its recursion ends"):
        Never.select()
    with pytest.raises(ShapeError, match=r"Missing.*NotThere"):
        Missing.select()


class Endless(Shape, model=Tag):
    children: "list[Endless]"


class RingA(Shape, model=City):
    tags: "list[RingB]"


class RingB(Shape, model=Tag):
    cities: list[RingA]


class Never(Shape, model=Tag):
    parent: "Never" = field(depth=1)


class Missing(Shape, model=City):
    country: "NotThere"  # type: ignore[name-defined]  # noqa: F821


def test_more_queries_than_anybody_means() -> None:
    with pytest.raises(ShapeError, match=r"asks for \d+ queries, 64 at most"):
        Wide.select()


class Wide(Shape, model=Tag):
    children: "list[Wide]" = field(depth=5)
    more: "list[Wide]" = field(source="children", depth=5)


def test_the_system_check_names_what_was_left() -> None:
    said = [error.msg for error in checks.check_shapes(None) if error.obj is Endless]
    assert len(said) == 1
    assert said[0].startswith(f"Endless.children ({HERE}:")


def test_no_model_and_models_by_name() -> None:
    class Base(Shape):
        name: str

    class ByName(Base, model="shapes_app.City"):
        population: int

    class Child(ByName):
        motto: str | None

    with pytest.raises(ShapeError, match="names no model"):
        Base.select()
    with pytest.raises(ShapeError, match=r"NoModel .*shapes_app"):

        class NoModel(Shape, model="shapes_app.Nothing"):
            name: str

    assert Child.select().queryset.model is City
    assert Child.__struct_fields__ == ("name", "population", "motto")


def test_query_sets_that_do_not_fit() -> None:
    with pytest.raises(ShapeError, match="is of City, the query set of Tag"):
        Name.select(Tag.objects.all())
    with pytest.raises(ShapeError, match=r"not values\(\)"):
        Name.select(City.objects.values("name"))
    with pytest.raises(ShapeError, match="takes a query set, not 3"):
        Name.select(3)  # type: ignore[arg-type]


def test_field_options_that_exclude_each_other() -> None:
    with pytest.raises(TypeError, match="not both"):
        field(source="a", expr=F("a"))
    with pytest.raises(TypeError, match="nothing to read"):
        field(from_model=False, source="a")
    with pytest.raises(TypeError, match="between 1 and 16"):
        field(depth=17)
    with pytest.raises(TypeError, match="sauce"):
        field(sauce="a")  # type: ignore[call-overload]


# --- structs --------------------------------------------------------------------------------


def test_is_a_struct_of_msgspec() -> None:
    class Out(Shape, model=City, rename="camel", frozen=True, kw_only=True):
        name: str = field(default="x")
        tag_names: list[str] = field(default_factory=list, source="tags__label")
        size: int = field(source="population", name="n")

        @computed
        def shown(self) -> str:
            """Name and size"""
            return f"{self.name} {self.size}"

    made = Out(size=3)
    text = b'{"name":"x","tagNames":[],"n":3,"shown":"x 3"}'
    assert msgspec.json.encode(made) == text
    assert msgspec.json.decode(b'{"n":3,"shown":"forged"}', type=Out) == made
    with pytest.raises(AttributeError, match="immutable"):
        made.name = "y"  # type: ignore[misc]


def test_computed_in_subclasses_and_beside_post_init() -> None:
    class First(Shape, model=City):
        name: str

        def __post_init__(self) -> None:
            self.name = self.name.strip()

        @computed
        def loud(self) -> str:
            return self.name.upper()

    class Second(First):
        population: int = 0

        @computed
        def size(self) -> str:
            return f"{self.loud} {self.population}"

    assert msgspec.to_builtins(Second(" a ")) == {
        "name": "a", "loud": "A", "population": 0, "size": "A 0",
    }  # fmt: skip
    with pytest.raises(ShapeError, match=r"Bad\.loud: a computed field says its type"):

        class Bad(Shape, model=City):
            @computed
            def loud(self):  # type: ignore[no-untyped-def]
                return 1


def test_json_schema() -> None:
    class Out(Shape, model=City):
        country: "SchemaCountry"
        names: list[TagOut] = field(source="tags")

        @computed
        def shown(self) -> str:
            """For people"""
            return ""

    schema = Out.json_schema()
    assert schema["$ref"] == "#/$defs/Out"
    out = schema["$defs"]["Out"]
    assert out["required"] == ["country", "names", "shown"]
    assert out["properties"]["shown"] == {"type": "string", "description": "For people"}
    assert schema["$defs"]["SchemaCountry"]["properties"]["name"] == {
        "type": "string", "description": "In English",
    }  # fmt: skip


class SchemaCountry(Shape, model=Country):
    name: str


# --- before the applications are ready ---------------------------------------------------------

EARLY = """
from quintette import Shape, ShapeError
class Early(Shape, model="auth.Group"):
    naem: str
class Good(Shape, model="auth.Group"):
    name: str
import django
from django.conf import settings
from django.core import checks
apps = ["quintette", "django.contrib.auth", "django.contrib.contenttypes"]
settings.configure(INSTALLED_APPS=apps)
django.setup()
found = [error for error in checks.run_checks() if error.id == "quintette.E002"]
print(*(error.msg for error in found), sep="\\n")
"""


def test_declared_before_the_models(tmp_path: Path) -> None:
    file = tmp_path / "early.py"
    file.write_text(EARLY)
    done = subprocess.run(
        [sys.executable, file], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout.splitlines() == [
        f"Early.naem ({file}:4): Group has no field 'naem'; did you mean 'name'?"
    ], done.stderr
