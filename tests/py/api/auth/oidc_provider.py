"""An OpenID provider: discovery, keys, and tokens for the codes that a test asks for."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey, OctKey

CLIENT_ID = "atlas"
CLIENT_SECRET = "a secret of the client, long enough for an HMAC"


class OpenIDProvider:
    def __init__(self) -> None:
        self.key = ECKey.generate_key("P-256", {"kid": "1"})
        self.codes: dict[str, dict[str, Any]] = {}
        self.asked: list[str] = []
        self.metadata: dict[str, Any] = {}
        """Of the discovery document, in place of what is right."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.issuer = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        if not self._thread.is_alive():
            return
        self._server.shutdown()
        self._thread.join(60)
        self._server.server_close()

    def authorize(
        self, location: str, *, sign_by: Any = None, alg: str = "ES256", **claims: Any
    ) -> str:
        """What the user's consent sends the browser back with: the query of the callback. Claims
        that are None are left out."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}
        code = f"code-{len(self.codes)}"
        now = int(time.time())
        right = {
            "iss": self.issuer,
            "sub": "248289761001",
            "aud": CLIENT_ID,
            "exp": now + 3600,
            "iat": now,
            "nonce": query["nonce"],
        }
        kept = {name: value for name, value in (right | claims).items() if value is not None}
        token = self._sign(kept, sign_by, alg)
        self.codes[code] = {"query": query, "id_token": token}
        return f"code={code}&state={query['state']}"

    def _sign(self, claims: dict[str, Any], key: Any, alg: str) -> str:
        if alg == "none":
            parts = [{"alg": "none"}, claims]
            texts = [base64.urlsafe_b64encode(json.dumps(part).encode()) for part in parts]
            return ".".join(text.decode().rstrip("=") for text in texts) + "."
        return jwt.encode({"alg": alg, "kid": "1"}, claims, key or self.key, algorithms=[alg])

    def shared_key(self) -> Any:
        return OctKey.import_key(CLIENT_SECRET)

    def _token(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        known = self.codes.pop(form.get("code", ""), None)
        if known is None:
            return 400, {"error": "invalid_grant"}
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        same_url = form.get("redirect_uri") == known["query"]["redirect_uri"]
        if challenge != known["query"]["code_challenge"] or not same_url:
            return 400, {"error": "invalid_grant"}
        answer = {"access_token": "opaque", "token_type": "Bearer", "id_token": known["id_token"]}
        return 200, {name: value for name, value in answer.items() if value != ""}

    def _discovery(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "end_session_endpoint": f"{self.issuer}/logout",
            "id_token_signing_alg_values_supported": ["ES256", "HS256", "none"],
        } | self.metadata

    def _handler(provider) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/jwks":
                    self._send(200, {"keys": [provider.key.as_dict(private=False)]})
                elif self.path == "/.well-known/openid-configuration":
                    self._send(200, provider._discovery())
                else:
                    self._send(404, {})

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                form = {name: values[0] for name, values in parse_qs(body).items()}
                self._send(*provider._token(form))

            def _send(self, status: int, document: dict[str, Any]) -> None:
                provider.asked.append(self.path)
                content = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return Handler
