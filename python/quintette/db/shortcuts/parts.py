"""Are the pieces of a query Django's? A subclass's, or a tracing agent's, are to be called."""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter

from django.db.models.sql.datastructures import BaseTable, Join
from django.db.models.sql.query import Query

from quintette.server.own import own_method

# What Django uses to find a name's column, and its joins.
JOINING = (
    "get_meta",
    "is_nullable",
    "join",
    "names_to_path",
    "ref_alias",
    "setup_joins",
    "table_alias",
    "trim_joins",
    "unref_alias",
)


class Parts:
    """Methods by their names, and the classes of a query's tables."""

    def __init__(self, names: Iterable[str]) -> None:
        names = tuple(names)
        self._of = attrgetter(*names, "base_table_class", "join_class")
        self._djangos = (*(own_method(Query, name) for name in names), BaseTable, Join)

    @property
    def are_known(self) -> bool:
        return None not in self._djangos and self.are_those_of(Query)

    def are_those_of(self, cls: type[Query]) -> bool:
        return bool(self._of(cls) == self._djangos)
