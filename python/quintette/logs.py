"""Log records that know their request.

    LOGGING = {
        "filters": {"request_id": {"()": "quintette.logs.RequestIdFilter"}},
        "handlers": {"console": {"class": "logging.StreamHandler", "filters": ["request_id"]}},
        ...
    }

Every record that such a handler gets has ``request_id``, ``trace_id`` and ``span_id``: of the
request that the code which logs runs for, in whichever thread or task; empty elsewhere.
"""

from __future__ import annotations

import logging

from quintette._quintette import Trace, trace_var

__all__ = ["RequestIdFilter", "Trace", "current_trace"]


def current_trace() -> Trace | None:
    """The request that the calling code runs for; None outside of requests of our server."""
    return trace_var.get(None)


class RequestIdFilter(logging.Filter):
    """Adds to records, and lets all of them pass."""

    def filter(self, record: logging.LogRecord) -> bool:
        trace = trace_var.get(None)
        if trace is None:
            record.request_id = record.trace_id = record.span_id = ""
        else:
            record.request_id = trace.request_id
            record.trace_id = trace.trace_id
            record.span_id = trace.span_id
        return True
