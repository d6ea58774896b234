"""A shape meets its model: every field is looked up, its type and nullability compared, and what is
to be read is laid out as a plan. Once per shape, on first use."""

from __future__ import annotations

import threading
from typing import Any

from django.db.models import Model

from quintette.db.shapes import fieldtypes, relations
from quintette.db.shapes.builder import builder
from quintette.db.shapes.declaration import PLAIN, Options
from quintette.db.shapes.declared import fields_of, has_hook, is_optional, model_of, shown
from quintette.db.shapes.errors import refuse
from quintette.db.shapes.members import Member, Path
from quintette.db.shapes.plan import COLUMNS_MAX, QUERIES_MAX, Cell, Object, RowPlan, Term

_lock = threading.RLock()


def bound(shape: Any) -> RowPlan:
    """The plan of a shape. Raises ShapeError."""
    plan: RowPlan | None = shape.__shape_bound__
    if plan is None:
        with _lock:
            plan = shape.__shape_bound__
            if plan is None:
                plan = Binder(model_of(shape)).plan(shape, ())
                if plan.queries > QUERIES_MAX:
                    refuse(shape, None, f"asks for {plan.queries} queries, {QUERIES_MAX} at most")
                shape.__shape_bound__ = plan
    return plan


class Binder:
    """Lays out one query."""

    def __init__(self, model: type[Model]) -> None:
        self.row_plan = RowPlan(model)
        self._columns: dict[str, int] = {}

    def plan(self, shape: Any, path: Path) -> RowPlan:
        if has_hook(shape):
            self.row_plan.hook = shape.queryset
        self.row_plan.root = self.object(shape, "", self.row_plan.model, path, None)
        return self._finish(shape)

    def scalar(self, shape: Any, name: str, tp: Any, steps: list[relations.Step]) -> RowPlan:
        """One column of a related model."""
        self.row_plan.root = self.cell(shape, name, tp, "", steps)
        return self._finish(shape)

    def other(self, model: type[Model]) -> Binder:
        """For a query beside this one."""
        return Binder(model)

    def _finish(self, shape: Any) -> RowPlan:
        if not self.row_plan.terms:
            self.column("pk")
        if len(self.row_plan.terms) > COLUMNS_MAX:
            refuse(shape, None, f"reads more than {COLUMNS_MAX} columns")
        self.row_plan.build = builder(self.row_plan.root)
        return self.row_plan

    # --- columns ---

    def column(self, name: str, expr: Any = None) -> int:
        if expr is None and name in self._columns:
            return self._columns[name]
        index = len(self.row_plan.terms)
        if expr is not None:
            name = f"q5_{index}"
        self.row_plan.terms.append(Term(name, expr))
        self._columns[name] = index
        return index

    # --- objects ---

    def object(
        self, shape: Any, prefix: str, model: type[Model], path: Path, null_column: int | None
    ) -> Object:
        members = []
        for info in fields_of(shape):
            options = shape.__shape_options__.get(info.name, PLAIN)
            if info.name in shape.__shape_computed__ or not options.from_model:
                self._must_have_default(shape, info, options)
                continue
            member = Member(self, shape, info, options, prefix, model, path)
            members.append((info.name, member.node()))
        return Object(shape, null_column, tuple(members))

    def _must_have_default(self, shape: Any, info: Any, options: Options) -> None:
        if info.required:
            refuse(shape, info.name, "is not from the model, and so it needs a default")

    def cell(
        self,
        shape: Any,
        name: str,
        tp: Any,
        prefix: str,
        steps: list[relations.Step],
    ) -> Cell:
        """A column, at the end of to-one relations."""
        last = steps[-1]
        said = fieldtypes.mismatch(last.field, tp)
        if said:
            refuse(shape, name, f"is declared {shown(tp)}: {said}")
        # Below a to-one relation that leads nowhere the whole object is None: no matter the prefix.
        nullable = any(step.nullable for step in steps)
        optional = is_optional(tp)
        if nullable and not optional:
            refuse(shape, name, f"may be NULL: declare {shown(tp)} | None")
        names = [step.query_name for step in steps]
        if hasattr(last.field, "attname"):
            names[-1] = last.field.attname
        column = self.column(prefix + "__".join(names))
        convert = fieldtypes.converter(last.field, tp)
        return Cell(column, convert, nullable, fieldtypes.value_field(last.field))
