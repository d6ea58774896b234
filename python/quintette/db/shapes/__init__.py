"""Typed views of models: what is read of them, and what is written."""

from quintette.db.shapes.declaration import computed, field
from quintette.db.shapes.errors import CursorError, PageError, ShapeError
from quintette.db.shapes.pages import CursorPage, OffsetPage, Page
from quintette.db.shapes.selection import Selection
from quintette.db.shapes.shape import Shape

__all__ = [
    "CursorError",
    "CursorPage",
    "OffsetPage",
    "Page",
    "PageError",
    "Selection",
    "Shape",
    "ShapeError",
    "computed",
    "field",
]
