"""What users derive from."""

from __future__ import annotations

from typing import Any, Self, dataclass_transform

import msgspec
from django.db.models import Manager, Model, QuerySet

from quintette.db.shapes import selection, waiting, writing
from quintette.db.shapes.declaration import ShapeMeta, field
from quintette.db.shapes.schema import schema_of
from quintette.db.shapes.selection import Selection


@dataclass_transform(field_specifiers=(field, msgspec.field))
class Shape(msgspec.Struct, metaclass=ShapeMeta):
    """What of a model is read, or written::

        class CityOut(Shape, model=City):
            name: str
            country: CountryOut
            airports: list[AirportOut]

        CityOut.select(City.objects.filter(population__gt=1_000_000)).json()

    Its instances are msgspec Structs. A shape without a model is a base for others.
    """

    @classmethod
    def select(
        cls, queryset: QuerySet[Any] | Manager[Any] | type[Model] | None = None
    ) -> Selection[Self]:
        """These rows as this shape; without any, all that the model's default manager has."""
        return selection.select(cls, queryset)

    @classmethod
    def queryset(cls, queryset: Any) -> Any:
        """To be overridden: filters, orders, slices or annotates what is selected as this shape,
        wherever it stands."""
        return queryset

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """The JSON Schema, with the model's help texts."""
        return schema_of(cls)

    def create(self, *, full_clean: bool = True, using: str | None = None, **more: Any) -> Any:
        """A new, saved instance of the model, in a transaction with its many-to-many relations.

        ``more`` are fields of the model that the shape does not have (the user who is logged in).
        ``full_clean``: validate it first. Raises ``ValidationError``.
        """
        return writing.create(self, full_clean, using, more)

    def update(self, instance: Any, *, full_clean: bool = True, **more: Any) -> Any:
        """Writes an instance's fields, those only that the shape has; ``UNSET`` leaves one alone.
        The primary key is never changed. Returns the instance."""
        return writing.update(self, instance, full_clean, more)

    def apply(self, instance: Any, **more: Any) -> Any:
        """Sets the attributes of an instance without saving it; many-to-many relations wait for
        ``update``. Returns the instance."""
        writing.apply(self, instance, more)
        return instance

    async def acreate(
        self, *, full_clean: bool = True, using: str | None = None, **more: Any
    ) -> Any:
        alias = writing.alias_for(type(self), None, using)
        return await waiting.on(alias, writing.create, self, full_clean, alias, more)

    async def aupdate(self, instance: Any, *, full_clean: bool = True, **more: Any) -> Any:
        alias = writing.alias_for(type(self), instance, None)
        return await waiting.on(alias, writing.update, self, instance, full_clean, more)

    async def aapply(self, instance: Any, **more: Any) -> Any:
        alias = writing.alias_for(type(self), instance, None)
        return await waiting.on(alias, self.apply, instance, **more)
