from typing import Any

from django.db.backends.sqlite3 import operations

_Django: Any = operations.DatabaseOperations


class DatabaseOperations(_Django):  # type: ignore[misc]
    compiler_module = "quintette.db.sqlite3.compiler"
