"""``values()`` and ``values_list()``: which columns are selected."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django.db.models.sql.query import Query

from quintette.db.shortcuts.columns import selection_of
from quintette.db.shortcuts.parts import JOINING, Parts
from quintette.server.own import own_method

# Column aliases that check_alias() has accepted; a name in a program's text, as a rule.
ALIASES_MAX = 10_000


def install() -> None:
    add_fields = own_method(Query, "add_fields")
    check_alias = own_method(Query, "check_alias")
    parts = Parts(JOINING)
    if add_fields is not None and parts.are_known:
        Query.add_fields = _short_add_fields(add_fields, parts)  # type: ignore[method-assign]
    if check_alias is not None:
        Query.check_alias = _short_check_alias(check_alias)  # type: ignore[method-assign]


def _short_add_fields(djangos: Callable[..., None], parts: Parts) -> Callable[..., None]:
    def add_fields(self: Any, field_names: Iterable[str], allow_m2m: bool = True) -> None:
        names = tuple(field_names)
        selection = None
        if self.model is not None and self.alias_cols and parts.are_those_of(type(self)):
            selection = selection_of(self.model, names)
        if selection is None:
            djangos(self, names, allow_m2m)
            return
        if selection.alias != (next(iter(self.alias_map), None) or self.get_meta().db_table):
            djangos(self, names, allow_m2m)
            return
        alias = self.get_initial_alias()
        for column in selection.joined:
            column.leave_join(self, alias, inner=False)
        if names:
            self.set_select(selection.cols)

    return add_fields


def _short_check_alias(djangos: Callable[..., None]) -> Callable[..., None]:
    accepted: set[str] = set()

    def check_alias(self: Any, alias: str) -> None:
        if alias in accepted:
            return
        djangos(self, alias)
        # Django warns of a percent sign each time.
        if "%" not in alias and len(accepted) < ALIASES_MAX:
            accepted.add(alias)

    return check_alias
