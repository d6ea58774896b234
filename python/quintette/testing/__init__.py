"""Clients for tests: requests to an API, or a whole project, without a socket."""

from quintette.testing.client import AsyncTestClient, TestClient
from quintette.testing.messages import Headers, Response
from quintette.testing.streams import AsyncStreamedResponse, ReceivedEvent, StreamedResponse
from quintette.testing.websocket import WebSocketRefused, WebSocketSession

__all__ = [
    "AsyncStreamedResponse",
    "AsyncTestClient",
    "Headers",
    "ReceivedEvent",
    "Response",
    "StreamedResponse",
    "TestClient",
    "WebSocketRefused",
    "WebSocketSession",
]
