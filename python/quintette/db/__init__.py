"""The ORM engine."""

# A function of the same name as its package: this binding is the one that is meant.
from quintette.db.compiled import compiled

__all__ = ["compiled"]
