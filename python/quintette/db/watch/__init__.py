"""Seeing queries: which ones a request makes, where, how often, how long, and what to do about it.

``lines`` finds the line of the project's code, ``record`` keeps the queries of a request, ``fixes``
knows the way out of a query in a loop, ``seeing`` is told of each query, ``requests`` of each
request; ``plans`` asks the database how it would run a statement, ``slow`` logs slow ones.

Nothing of it is in place while the settings ask for nothing.
"""

from quintette.db.watch.record import Query, Record, recorded
from quintette.db.watch.requests import QueriesMiddleware

__all__ = ["QueriesMiddleware", "Query", "Record", "recorded"]
