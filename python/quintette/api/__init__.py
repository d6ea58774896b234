"""The typed API. Everything a project needs is in ``quintette`` itself."""

from quintette.api.errors import HTTPError, RegistrationError, RequestError, ResultError
from quintette.api.lift import lift
from quintette.api.markers import (
    BigInt,
    Body,
    Cookie,
    Depends,
    File,
    Form,
    Header,
    Path,
    Query,
)
from quintette.api.responses import HTML, JSON, Redirect, Response, SendFile, Stream, Text
from quintette.api.routing import API, Router
from quintette.api.signature import in_loop

__all__ = [
    "API",
    "HTML",
    "JSON",
    "BigInt",
    "Body",
    "Cookie",
    "Depends",
    "File",
    "Form",
    "HTTPError",
    "Header",
    "Path",
    "Query",
    "Redirect",
    "RegistrationError",
    "RequestError",
    "Response",
    "ResultError",
    "Router",
    "SendFile",
    "Stream",
    "Text",
    "in_loop",
    "lift",
]
