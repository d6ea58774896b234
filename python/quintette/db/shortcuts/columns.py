"""The columns of a model's own table, by the names that filters and ``values()`` have for them."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeVar

from django.db.models import Field, ForeignKey, GeneratedField, OneToOneField
from django.db.models.constants import LOOKUP_SEP
from django.db.models.sql.constants import INNER, LOUTER
from django.db.models.sql.datastructures import Join

# Names of one model, with their lookups, that have been looked at. They stand in a program's text,
# as a rule.
NAMES_MAX = 1000
# In the options of a model, so that it lives as long as the model does.
_KNOWN = "_quintette_columns"
# Whose columns are the same in all queries.
_GET_COL = frozenset(vars(cls)["get_col"] for cls in (Field, ForeignKey, GeneratedField))

K = TypeVar("K")
V = TypeVar("V")


class Column:
    """One name. Belongs to its model's table of names; nothing in it changes."""

    __slots__ = ("field", "join", "lookups", "related")

    def __init__(self, field: Any, lookups: tuple[str, ...]) -> None:
        self.field = field
        self.lookups = lookups
        """What follows the field: nothing, or the name of a lookup."""
        self.related: Any = None
        """Of a foreign key: the options of the model that it points to. Django joins its table and
        then finds that it does not need it; the unused alias stays in the query."""
        self.join: dict[str, Any] | None = None
        """Its attributes. Each query has a join of its own, which somebody may change."""
        if field.is_relation:
            self.related = field.path_infos[0].to_opts
            table = self.related.db_table
            join_type = LOUTER if field.null else INNER
            parent = field.model._meta.db_table
            self.join = vars(Join(table, parent, table, join_type, field, field.null))

    def leave_join(self, query: Any, alias: str, inner: bool) -> str:
        """The alias that Django would leave in the query, with no reference to it. `inner`: as a
        condition on the column makes it, since that is met by no row without a relation."""
        assert self.join is not None
        table: str = self.related.db_table
        aliases = query.table_map.get(table)
        if aliases == [table] and self._is_joined(query.alias_map.get(table), alias, inner):
            return table
        if alias != self.join["parent_alias"] or table != self.join["table_name"] or aliases:
            return self._let_join(query, alias, inner)
        join = object.__new__(Join)
        attributes = vars(join)
        attributes.update(self.join)
        if inner:
            attributes["join_type"] = INNER
        query.table_map[table] = [table]
        query.alias_map[table] = join
        query.alias_refcount[table] = 0
        return table

    def _is_joined(self, present: Any, alias: str, inner: bool) -> bool:
        return (
            type(present) is Join
            and present.join_field is self.field
            and present.parent_alias == alias
            and present.filtered_relation is None
            and (not inner or present.join_type == INNER)
        )

    def _let_join(self, query: Any, alias: str, inner: bool) -> str:
        join = query.join_class(
            self.related.db_table, alias, None, INNER, self.field, query.is_nullable(self.field)
        )
        unused: str = query.join(join)
        query.unref_alias(unused)
        if inner:
            query.demote_joins([unused])
        return unused


class Selection(NamedTuple):
    """Columns of one model, in order. Its expressions may be in many queries, as those that Django
    keeps with each field."""

    alias: str
    """That they are for."""
    cols: tuple[Any, ...]
    joined: tuple[Column, ...]


class _Known:
    """What has been looked at of one model."""

    __slots__ = ("columns", "local", "selections")

    def __init__(self, local: Any) -> None:
        self.local = local
        """Its fields then: the very list, which changes with them."""
        self.columns: dict[str, Column | None] = {}
        self.selections: dict[tuple[str, ...], Selection | None] = {}


def _known_of(model: Any) -> _Known:
    options = model._meta
    local = options.local_concrete_fields
    known: _Known | None = vars(options).get(_KNOWN)
    if known is None or known.local is not local:
        known = _Known(local)
        setattr(options, _KNOWN, known)
    return known


def column_of(model: Any, name: str) -> Column | None:
    """None: the name is not that of a column of the model's own table, or says more."""
    known = _known_of(model)
    try:
        return known.columns[name]
    except KeyError:
        return _keep(known.columns, name, _find(model, known.local, name))


def selection_of(model: Any, names: tuple[str, ...]) -> Selection | None:
    """None: not all of them are columns of the model's own table."""
    known = _known_of(model)
    try:
        return known.selections[names]
    except KeyError:
        return _keep(known.selections, names, _select(model, names))


def _keep(kept: dict[K, V], key: K, value: V) -> V:
    if len(kept) >= NAMES_MAX:
        kept.clear()
    kept[key] = value
    return value


def _select(model: Any, names: tuple[str, ...]) -> Selection | None:
    alias: str = model._meta.db_table
    columns = []
    for name in names:
        column = column_of(model, name)
        if column is None or column.lookups or type(column.field).get_col not in _GET_COL:
            return None
        columns.append(column)
    cols = tuple(column.field.get_col(alias) for column in columns)
    return Selection(alias, cols, tuple(c for c in columns if c.join is not None))


def _find(model: Any, local: Any, name: str) -> Column | None:
    options = model._meta
    first, *lookups = name.split(LOOKUP_SEP)
    if options.proxy or len(lookups) > 1:
        return None
    if first == "pk":
        first = options.pk.name
    field = options._forward_fields_map.get(first)
    if not any(field is own for own in local):
        return None
    if field.is_relation and not _is_foreign_key(field, lookups):
        return None
    return Column(field, tuple(lookups))


def _is_foreign_key(field: Any, lookups: list[str]) -> bool:
    """Of Django's own kinds, and not followed any further."""
    if type(field) not in (ForeignKey, OneToOneField) or not isinstance(field.related_model, type):
        return False
    if any(field.get_lookup(name) is None for name in lookups):
        return False
    options = field.path_infos[0].to_opts
    names = {*options._forward_fields_map, *options.fields_map, "pk"}
    return names.isdisjoint(lookups)
