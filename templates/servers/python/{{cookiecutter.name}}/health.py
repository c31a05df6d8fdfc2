"""The plain port for load balancers and watchdogs: it says that the service runs, and nothing else."""

from __future__ import annotations

from http import HTTPStatus
from http.server import BaseHTTPRequestHandler


class Handler(BaseHTTPRequestHandler):
    """`GET /healthz` is `ok`; everything else is not found."""

    timeout = 5

    def do_GET(self) -> None:
        if self.path == "/healthz":
            self._answer(HTTPStatus.OK, b"ok\n")
        else:
            self._answer(HTTPStatus.NOT_FOUND, b"not found\n")

    do_HEAD = do_GET

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        self._answer(HTTPStatus.NOT_FOUND, b"not found\n")

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def version_string(self) -> str:
        return "health"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Says nothing: a probe comes every few seconds."""
