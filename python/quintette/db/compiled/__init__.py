"""Queries declared once as Django ORM, with parameters; each call only binds values."""

from quintette._quintette import Pending
from quintette.db.compiled.errors import CompileError, ParameterError
from quintette.db.compiled.pools import drain, stats
from quintette.db.compiled.query import CompiledQuery, compiled

__all__ = [
    "CompileError",
    "CompiledQuery",
    "ParameterError",
    "Pending",
    "compiled",
    "drain",
    "stats",
]
