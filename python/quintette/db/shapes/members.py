"""One field of a shape meets the model: what it reads, and whether its type takes that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from django.core.exceptions import FieldError
from django.db.models import F, JSONField, Model

from quintette.api import types
from quintette.db.shapes import fieldtypes, relations
from quintette.db.shapes.declaration import DEPTH_MAX, Options
from quintette.db.shapes.declared import (
    has_hook,
    is_optional,
    is_shape,
    model_of,
    shown,
    without_unset,
)
from quintette.db.shapes.errors import close_matches, refuse
from quintette.db.shapes.plan import Cell, Fixed, Many, Node, Related, RowPlan

if TYPE_CHECKING:
    from quintette.db.shapes.binding import Binder


class Edge(NamedTuple):
    """A field that leads from one shape to another."""

    shape: Any
    name: str
    target: Any
    bounded: bool


Path = tuple[Edge, ...]


class Member:
    """One field of a shape, being laid out."""

    def __init__(
        self,
        binder: Binder,
        shape: Any,
        info: Any,
        options: Options,
        prefix: str,
        model: type[Model],
        path: Path,
    ) -> None:
        self._binder = binder
        self._shape = shape
        self._name: str = info.name
        self._type = without_unset(info.type)
        self._options = options
        self._prefix = prefix
        self._model = model
        self._path = path

    def _refuse(self, message: str) -> NoReturn:
        refuse(self._shape, self._name, message)

    def node(self) -> Node:
        options = self._options
        if options.expr is not None:
            return self._expression()
        if options.annotated:
            return self._annotated()
        steps, transforms = self._steps()
        inner, _ = types.without_none(self._type)
        listed = types.list_of(inner)
        if any(step.to_many for step in steps):
            if listed is None:
                self._refuse(f"leads to many: declare a list, not {shown(self._type)}")
            return self._many(steps, listed)
        if transforms:
            return self._transformed(steps, transforms)
        if is_shape(inner):
            return self._one(steps, types.class_of(inner))
        if steps[-1].related is not None and types.is_object(inner):
            self._refuse(f"{shown(inner)} is no Shape, as what a relation leads to must be")
        if options.queryset is not None or options.depth is not None:
            self._refuse("field(queryset=) and field(depth=) are for relations to shapes")
        return self._binder.cell(self._shape, self._name, self._type, self._prefix, steps)

    # --- names ---

    def _steps(self) -> tuple[list[relations.Step], list[str]]:
        """The fields along the source; of a JSONField's further names, those."""
        parts = (self._options.source or self._name).split("__")
        model: type[Model] | None = self._model
        steps: list[relations.Step] = []
        for position, part in enumerate(parts):
            if model is None:
                if isinstance(fieldtypes.value_field(steps[-1].field), JSONField):
                    return steps, parts[position:]
                self._refuse(f"{'__'.join(parts[:position])!r} leads to no other model")
            step = relations.find(model, part)
            if step is None:
                self._refuse(self._unknown(model, part))
            if relations.is_generic_foreign_key(step.field):
                self._refuse(
                    f"{part!r} is a GenericForeignKey, which may lead to any model: declare its "
                    f"two columns, or read the other way by a GenericRelation"
                )
            steps.append(step)
            model = step.related
        return steps, []

    def _unknown(self, model: Any, part: str) -> str:
        said = f"{model.__name__} has no field {part!r}"
        attribute = getattr(model, part, None)
        if isinstance(attribute, property) or callable(attribute):
            kind = "property" if isinstance(attribute, property) else "method"
            return (
                f"{said}: {model.__name__}.{part} is a {kind}, which no query can read; make it "
                f"@computed, or an expression: field(expr=...)"
            )
        return said + close_matches(part, relations.names_of(model))

    # --- expressions ---

    def _expression(self) -> Node:
        try:
            expr = relations.prefixed(self._options.expr, self._prefix)
        except relations.CannotPrefixError:
            self._refuse("an expression with a query of its own cannot stand below a to-one field")
        output = self._output_field()
        if output is not None:
            said = fieldtypes.mismatch(output, self._type)
            if said:
                self._refuse(f"is declared {shown(self._type)}: {said}")
        column = self._binder.column("", expr)
        convert = fieldtypes.converter(output, self._type) if output is not None else None
        return Cell(column, convert, True, output)

    def _output_field(self) -> Any:
        """Asked of the model itself: it says also whether the names are right."""
        try:
            query = self._model._base_manager.annotate(q5_checked=self._options.expr).query
            resolved = query.annotations["q5_checked"]
            self._binder.row_plan.aggregates |= bool(resolved.contains_aggregate)
            return resolved.output_field
        except (FieldError, TypeError, ValueError, AttributeError) as error:
            self._refuse(f"expr: {error}")

    def _annotated(self) -> Node:
        if self._prefix:
            self._refuse("field(annotated=True) cannot stand below a to-one field")
        name = self._options.source or self._name
        self._binder.row_plan.annotated.append((self._shape, self._name, name))
        return Cell(self._binder.column(name), None, True, None)

    def _transformed(self, steps: list[relations.Step], transforms: list[str]) -> Node:
        names = [step.query_name for step in steps] + transforms
        if not is_optional(self._type):
            self._refuse(f"may be missing from the JSON: declare {shown(self._type)} | None")
        column = self._binder.column("", F(self._prefix + "__".join(names)))
        field = fieldtypes.value_field(steps[-1].field)
        return Cell(column, fieldtypes.converter(field, self._type), True, field)

    # --- relations ---

    def _follow(self, target: Any) -> Path | None:
        """The way to a nested shape; None where a bound on recursion ends it."""
        depth = self._options.depth
        taken = sum(edge[:2] == (self._shape, self._name) for edge in self._path)
        if depth is not None and taken >= depth:
            return None
        edge = Edge(self._shape, self._name, target, depth is not None)
        path = (*self._path, edge)
        if len(path) > DEPTH_MAX:
            self._refuse(f"is nested more than {DEPTH_MAX} levels deep")
        since = next((at for at in reversed(range(len(path))) if path[at].shape is target), None)
        if since is not None and not any(one.bounded for one in path[since:]):
            self._refuse(
                f"leads back to {target.__name__} without an end: say how often it is followed, "
                f"field(depth=...)"
            )
        return path

    def _check_model(self, target: Any, related: Any) -> None:
        model = model_of(target)
        if not issubclass(related, model) and related._meta.concrete_model is not model:
            self._refuse(
                f"leads to {related.__name__}, but {target.__name__} is of {model.__name__}"
            )

    def _one(self, steps: list[relations.Step], target: Any) -> Node:
        last = steps[-1]
        if last.related is None:
            self._refuse(f"{type(last.field).__name__} is no relation: {shown(self._type)} is")
        self._check_model(target, last.related)
        optional = is_optional(self._type)
        path = self._follow(target)
        if self._options.depth is not None and not optional:
            self._refuse(f"is None where its recursion ends: declare {shown(self._type)} | None")
        if path is None:
            return Fixed(lambda: None)
        if any(step.nullable for step in steps) and not optional:
            self._refuse(f"may be NULL: declare {shown(self._type)} | None")
        if self._needs_query(target):
            if not optional and (has_hook(target) or self._options.queryset is not None):
                wanted = f"{shown(self._type)} | None"
                self._refuse(f"is None where the query set leaves it out: declare {wanted}")
            return self._related(steps, target, None, path)
        related = last.related
        prefix = self._prefix + "__".join(step.query_name for step in steps) + "__"
        null_column = None
        if optional:
            if last.field.concrete:
                names = [step.query_name for step in steps[:-1]] + [last.field.attname]
                null_column = self._binder.column(self._prefix + "__".join(names))
            else:
                null_column = self._binder.column(prefix + "pk")
        return self._binder.object(target, prefix, related, path, null_column)

    def _needs_query(self, target: Any) -> bool:
        """A JOIN cannot do what a query set of its own does."""
        if self._options.queryset is not None or has_hook(target):
            return True
        for options in target.__shape_options__.values():
            if options.annotated:
                return True
            if options.expr is not None:
                try:
                    relations.prefixed(options.expr, "q5__")
                except relations.CannotPrefixError:
                    return True
        return False

    def _many(self, steps: list[relations.Step], listed: tuple[Any, Any]) -> Node:
        container, item = listed
        at = next(index for index, step in enumerate(steps) if step.to_many)
        here, behind = steps[: at + 1], steps[at + 1 :]
        if any(step.to_many for step in behind):
            self._refuse("leads through two relations to many: nest two shapes")
        if is_shape(item):
            if behind:
                self._refuse(f"leads beyond {here[-1].field.name!r}: nest a shape for that")
            target = types.class_of(item)
            self._check_model(target, here[-1].related)
            path = self._follow(target)
            if path is None:
                return Fixed(container)
            return self._related(here, target, container, path)
        if types.is_object(item):
            self._refuse(f"{shown(item)} is no Shape, as what a relation leads to must be")
        related: Any = here[-1].related
        pk = relations.find(related, "pk")
        assert pk is not None
        plan = self._binder.other(related).scalar(self._shape, self._name, item, behind or [pk])
        return self._join(here, container, plan, ())

    def _related(
        self, steps: list[relations.Step], target: Any, container: Any, path: Path
    ) -> Node:
        related: Any = steps[-1].related
        plan = self._binder.other(related).plan(target, path)
        return self._join(steps, container, plan, (plan.hook,) if plan.hook else ())

    def _join(self, steps: list[relations.Step], container: Any, plan: RowPlan, hooks: Any) -> Many:
        keys = relations.keys_of(steps[-1].field)
        names = [step.query_name for step in steps[:-1]] + [keys.parent]
        column = self._binder.column(self._prefix + "__".join(names))
        if self._options.queryset is not None:
            hooks = (*hooks, self._options.queryset)
        more: dict[str, Any] = {}
        if keys.restrict is not None:
            more["restrict"] = keys.restrict
        query = Related(
            plan.model,
            keys.child,
            hooks,
            plan,
            key_field=keys.field,
            key_convert=keys.convert,
            **more,
        )
        many = Many(len(self._binder.row_plan.many), column, container, query)
        self._binder.row_plan.many.append(many)
        return many
