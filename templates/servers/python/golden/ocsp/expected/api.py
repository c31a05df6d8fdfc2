"""What the service answers over HTTP. Whoever gets here has a valid certificate; the allow list decides on the rest."""

from __future__ import annotations

import json
import logging
import ssl
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any

from peer import Peer, Unidentified, identify, verified_chain
from revocation import Checker, Refused
from settings import Settings
from tls import Store

log = logging.getLogger("api")

IDLE_SECONDS = 30


class Handler(BaseHTTPRequestHandler):
    """One connection. The standard library bounds a line to 64 KiB and a request to 100 headers."""

    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS
    settings: Settings
    store: Store
    checker: Checker
    chain: list[bytes]
    peer: Peer | None = None
    doubt = ""

    def __init__(self, connection: ssl.SSLSocket, address: Any, answered: Callable[[], None]) -> None:
        self._answered = answered
        super().__init__(connection, address, None)  # type: ignore[arg-type]

    def setup(self) -> None:
        super().setup()
        assert isinstance(self.request, ssl.SSLSocket)
        current = self.store.current
        # None: the trust changed before the handshake was over.
        self.trust = current.trust if self.request.context is current.server else None
        try:
            self.chain = verified_chain(self.request)
            self.peer = identify(self.chain)
        except Unidentified as error:
            self.doubt = str(error)

    def do_GET(self) -> None:
        # Asked at every request: an allow list that changed holds for connections that are open, too.
        allowed = self.store.current.allowed.get(self.peer) if self.peer else None
        if self.peer is None or allowed is None:
            self._refuse(self.doubt or f"{self.peer.identity if self.peer else ''} may not call {self.settings.name}")
            return
        try:
            # Strangers have been turned away, so nobody is asked about them. The answer is remembered until it ends.
            self.checker.check(self.chain)
        except Refused as error:
            log.warning("%r is refused: %s", self.peer.identity, error)
            self._refuse(str(error))
            return
        if self.headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in self.headers:
            self.close_connection = True  # a body that nobody reads must not be taken for the next request
        path = self.path.partition("?")[0]
        if path == "/":
            self._answer_caller(self.peer, gateway=allowed.gateway)
        else:
            self._answer(HTTPStatus.NOT_FOUND, {"error": "there is no such page"})

    def _method_not_allowed(self) -> None:
        self.close_connection = True
        self._answer(HTTPStatus.METHOD_NOT_ALLOWED, {"error": "only GET is answered"}, {"Allow": "GET"})

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_TRACE = do_CONNECT = _method_not_allowed

    def _answer_caller(self, peer: Peer, *, gateway: bool) -> None:
        subjects = self.headers.get_all("X-Client-Subject", [])
        issuers = self.headers.get_all("X-Client-Issuer", [])
        if gateway and (len(subjects) > 1 or len(issuers) > 1):
            self._answer(HTTPStatus.BAD_REQUEST, {"error": "X-Client-Subject and X-Client-Issuer may stand once"})
            return
        # Only a gateway whose upstream this service is has checked them; from others they are a claim like any other.
        believed = gateway and subjects and issuers
        origin = {"subject": subjects[0], "issuer": issuers[0]} if believed else None
        answer = {
            "server": self.settings.name,
            "greeting": self.settings.greeting,
            "caller": peer.identity,
            "on_behalf_of": origin,
        }
        self._answer(HTTPStatus.OK, answer)

    def _refuse(self, reason: str) -> None:
        self.close_connection = True
        self._answer(HTTPStatus.FORBIDDEN, {"error": reason})

    def _answer(self, status: int, answer: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        self._send(status, json.dumps(answer).encode() + b"\n", headers or {})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        # Mozilla's guideline: two years of HTTPS alone.
        self.send_header("Strict-Transport-Security", "max-age=63072000")
        for name, value in headers.items():
            self.send_header(name, value)
        self._close_if_outdated()
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self._answered()
        # Once more: either whoever ends idle connections has seen this one, or what has changed is seen here.
        self._close_if_outdated()

    def _close_if_outdated(self) -> None:
        """Who was judged by roots and CRLs that no longer hold gets this answer, and connects anew for the next."""
        if self.store.current.trust != self.trust:
            self.close_connection = True

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Errors that the standard library finds (a bad request line, too many headers) are JSON like all others."""
        self.close_connection = True
        self._answer(code, {"error": message or HTTPStatus(code).phrase})

    def version_string(self) -> str:
        return self.settings.name

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        caller = self.peer.identity if self.peer else "unidentified"
        log.info("%r %r %s", caller, getattr(self, "requestline", ""), int(code))
