"""The typed API. Everything a project needs is in ``quintette`` itself."""

from quintette.api.after import AfterResponse
from quintette.api.bodies import BodyStream, ClientLeftError, Lines
from quintette.api.cached import Cached
from quintette.api.channels import Channel, Subscription
from quintette.api.compression import Compress
from quintette.api.conditional import Conditional
from quintette.api.errors import HTTPError, RegistrationError, RequestError, ResultError
from quintette.api.guards import Guard, Hook
from quintette.api.idempotent import Idempotent
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
from quintette.api.shared import SharedChannel
from quintette.api.signature import in_loop
from quintette.api.streams import Event, EventStream, JSONLines, LastEventID
from quintette.api.websockets import Group, WebSocket, WebSocketClosed, broadcast

__all__ = [
    "API",
    "HTML",
    "JSON",
    "AfterResponse",
    "BigInt",
    "Body",
    "BodyStream",
    "Cached",
    "Channel",
    "ClientLeftError",
    "Compress",
    "Conditional",
    "Cookie",
    "Depends",
    "Event",
    "EventStream",
    "File",
    "Form",
    "Group",
    "Guard",
    "HTTPError",
    "Header",
    "Hook",
    "Idempotent",
    "JSONLines",
    "LastEventID",
    "Lines",
    "Path",
    "Query",
    "Redirect",
    "RegistrationError",
    "RequestError",
    "Response",
    "ResultError",
    "Router",
    "SendFile",
    "SharedChannel",
    "Stream",
    "Subscription",
    "Text",
    "WebSocket",
    "WebSocketClosed",
    "broadcast",
    "in_loop",
    "lift",
]
