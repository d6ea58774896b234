"""Two methods of Django's ``Query`` that ``values()`` calls for each name, with a short way for the
ordinary name: a column of the model's own table.

Django follows each name as a path of relations, though most are none. Where the short way does not
apply Django's own method is called; where that is not Django's any more, nothing is installed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from weakref import WeakKeyDictionary

from django.db.models.sql.query import Query

from quintette.server.own import own_method

# Column aliases that check_alias() has accepted; a name in a program's text, as a rule.
ALIASES_MAX = 10_000

_Fields = dict[str, Any]
# By model: its fields when they were looked at (the very list, which changes with them), and those
# that are columns and no relations, by name.
_plain: WeakKeyDictionary[type, tuple[Any, _Fields]] = WeakKeyDictionary()


def plain_fields(model: Any) -> _Fields:
    options = model._meta
    local = options.local_concrete_fields
    known = _plain.get(model)
    if known is None or known[0] is not local:
        fields = {}
        if not options.proxy:
            fields = {
                name: field
                for field in local
                if not field.is_relation
                for name in (field.name, field.attname)
            }
        known = _plain[model] = local, fields
    return known[1]


def install() -> None:
    """Once; on whatever Django this is."""
    add_fields = own_method(Query, "add_fields")
    check_alias = own_method(Query, "check_alias")
    if add_fields is not None:
        Query.add_fields = _short_add_fields(add_fields)  # type: ignore[method-assign]
    if check_alias is not None:
        Query.check_alias = _short_check_alias(check_alias)  # type: ignore[method-assign]


def _short_add_fields(add_fields: Callable[..., None]) -> Callable[..., None]:
    def short(self: Any, field_names: Iterable[str], allow_m2m: bool = True) -> None:
        fields = plain_fields(self.model)
        names = list(field_names)
        alias = self.get_initial_alias()
        columns = []
        for name in names:
            field = fields.get(name)
            if field is None:
                add_fields(self, [name], allow_m2m)
                columns.extend(self.select)
            else:
                columns.append(field.get_col(alias if self.alias_cols else None))
        if columns:
            self.set_select(columns)

    return short


def _short_check_alias(check_alias: Callable[..., None]) -> Callable[..., None]:
    accepted: set[str] = set()

    def short(self: Any, alias: str) -> None:
        if alias in accepted:
            return
        check_alias(self, alias)
        # Django warns of a percent sign each time.
        if "%" not in alias and len(accepted) < ALIASES_MAX:
            accepted.add(alias)

    return short
