"""Each statement that our compiler takes from those it has kept is written by Django's as well, and
must be the same, with the same parameters and columns. A difference is an error of the test.
"""

from __future__ import annotations

from functools import wraps
from typing import Any

from django.db.models.sql.compiler import SQLCompiler as DjangoCompiler

from quintette.db.statements import SQLCompiler


def install() -> None:
    take = SQLCompiler._take

    @wraps(take)
    def compared(self: Any, *args: Any) -> Any:
        # Before ours is: what either writes into its query, the other must not find there.
        theirs = DjangoCompiler(self.query.clone(), self.connection, self.using, self.elide_empty)
        mine = take(self, *args)
        expected = theirs.as_sql()
        assert mine == expected, f"{mine} instead of {expected}"
        assert _known(self) == _known(theirs), f"{_known(self)} instead of {_known(theirs)}"
        return mine

    SQLCompiler._take = compared


def _known(compiler: Any) -> tuple[Any, ...]:
    """What the rows are read by."""
    columns = [(column, alias) for column, _sql, alias in compiler.select]
    return (
        columns,
        _classes(compiler.klass_info),
        compiler.annotation_col_map,
        compiler.col_count,
        compiler.has_extra_select,
    )


def _classes(info: dict[str, Any] | None) -> dict[str, Any] | None:
    """Without the functions that set one instance on another: new ones are made for each query."""
    if info is None:
        return None
    known = {name: value for name, value in info.items() if not name.endswith("_setter")}
    known["related_klass_infos"] = [_classes(each) for each in info.get("related_klass_infos", ())]
    return known
