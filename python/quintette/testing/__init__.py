"""Clients for tests: requests to an API, or a whole project, without a socket."""

from quintette.testing.client import AsyncTestClient, TestClient
from quintette.testing.messages import Headers, Response

__all__ = ["AsyncTestClient", "Headers", "Response", "TestClient"]
