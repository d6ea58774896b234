"""Methods of Django's ``Query`` and ``QuerySet`` with a short way for what most queries ask for:
columns of the model's own table, and rows of no special sort.

Django follows each name as a path of relations, though most are none. The short ways leave a query
in the very state in which Django's methods leave it, and make the same of its rows. Where they do
not apply Django's own method is called; where that is not Django's any more, nothing is installed.
"""

from quintette.db.shortcuts import filters, frames, rows, values


def install() -> None:
    """Once; on whatever Django this is."""
    values.install()
    filters.install()
    rows.install()
    frames.install()


__all__ = ["install"]
