"""Errors that a client may see, all of them problem documents (RFC 9457)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core import signals
from django.core.exceptions import (
    BadRequest,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
    ValidationError,
)
from django.core.handlers.base import BaseHandler
from django.http import Http404
from django.http.multipartparser import MultiPartParserError

from quintette.api import answer

if TYPE_CHECKING:
    from django.http import HttpRequest

    from quintette.db.compiled.errors import ParameterError

logger = logging.getLogger("django.request")


class HTTPError(Exception):
    """Raised in a handler or a dependency: answered with this status."""

    def __init__(
        self,
        status: int,
        detail: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        type: str = "about:blank",
        title: str | None = None,
        **extra: Any,
    ) -> None:
        if not 400 <= status <= 599:
            raise ValueError(f"an error's status is between 400 and 599, not {status}")
        super().__init__(detail or answer.title_of(status))
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})
        self.type = type
        self.title = title
        self.extra = extra

    def answer(self) -> answer.Answer:
        return answer.problem(
            self.status,
            self.detail,
            headers=self.headers,
            type_=self.type,
            title=self.title,
            extra=self.extra,
        )


class RequestError(HTTPError):
    """The request is not what the handler's signature asks for. ``errors`` lists every fault:
    ``{"in": ..., "loc": [...], "msg": ..., "type": ...}``."""

    def __init__(self, errors: list[dict[str, Any]], status: int = 422, detail: str = "") -> None:
        super().__init__(status, detail or _summary(errors))
        self.errors = errors

    def answer(self) -> answer.Answer:
        return answer.problem(self.status, self.detail, errors=self.errors)


def _summary(errors: list[dict[str, Any]]) -> str:
    if len(errors) == 1:
        return "The request has a fault."
    return f"The request has {len(errors)} faults."


class ResultError(TypeError):
    """A handler returned what its declared result type does not take. Answered with 500."""


class RegistrationError(TypeError):
    """A handler's signature cannot be served. Raised at import time."""


def answer_to(error: BaseException, request: HttpRequest | None) -> answer.Answer:
    """For every exception that no exception handler of the API took."""
    # Imported here: shapes are declared with the types of this package.
    from quintette.db.compiled.errors import ParameterError

    if isinstance(error, HTTPError):
        if error.status >= 500:
            _log(error, request, error.status)
        return error.answer()
    if isinstance(error, Http404):
        return answer.problem(404, str(error) if settings.DEBUG else None)
    if isinstance(error, PermissionDenied):
        return answer.problem(403, str(error) or None)
    if isinstance(error, ValidationError):
        return _from_validation_error(error).answer()
    if isinstance(error, ParameterError):
        return _from_parameter_error(error).answer()
    if isinstance(error, RequestDataTooBig):
        return answer.problem(413)
    if isinstance(error, SuspiciousOperation):
        _log_suspicious(error, request)
        return answer.problem(400, str(error) if settings.DEBUG else None)
    if isinstance(error, (BadRequest, MultiPartParserError)):
        return answer.problem(400, str(error) or None)
    return _internal_error(error, request)


def _internal_error(error: BaseException, request: HttpRequest | None) -> answer.Answer:
    try:
        # As Django does: receivers look at sys.exc_info().
        raise error
    except Exception:
        signals.got_request_exception.send(sender=BaseHandler, request=request)
        _log(error, request, 500)
        if settings.DEBUG_PROPAGATE_EXCEPTIONS:
            raise
    except BaseException:
        # CancelledError and the like: nobody is left to read the answer.
        return answer.problem(503)
    detail = f"{type(error).__name__}: {error}" if settings.DEBUG else None
    return answer.problem(500, detail)


def _log(error: BaseException, request: HttpRequest | None, status: int) -> None:
    logger.error(
        "%s: %s",
        answer.title_of(status),
        getattr(request, "path", ""),
        exc_info=(type(error), error, error.__traceback__),
        extra={"status_code": status, "request": request},
    )


def _log_suspicious(error: SuspiciousOperation, request: HttpRequest | None) -> None:
    logging.getLogger(f"django.security.{type(error).__name__}").error(
        str(error),
        exc_info=(type(error), error, error.__traceback__),
        extra={"status_code": 400, "request": request},
    )


def _from_parameter_error(error: ParameterError) -> RequestError:
    """Of a compiled query, whose parameters have the names that it gives them."""
    return RequestError(
        [
            {"in": "query", "loc": [name], "msg": error.message, "type": "value"}
            for name in error.parameters
        ]
    )


def _from_validation_error(error: ValidationError) -> RequestError:
    if hasattr(error, "error_dict"):
        faults = [(name, one) for name, many in error.error_dict.items() for one in many]
    else:
        faults = [("__all__", one) for one in error.error_list]
    errors: list[dict[str, Any]] = []
    for name, one in faults:
        errors.extend(
            {
                "in": "body",
                "loc": [] if name == "__all__" else [name],
                "msg": str(message),
                "type": one.code or "invalid",
            }
            for message in one.messages
        )
    return RequestError(errors)
