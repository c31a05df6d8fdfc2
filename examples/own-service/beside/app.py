"""A plain app behind the front `shop`: it speaks HTTP on loopback, and reads from headers who called."""

from __future__ import annotations

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT = int(os.environ.get("PORT", "5000"))


class App(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.answer(200, {"caller": self.headers["X-Client-Identity"], "roles": self.roles()})

    def do_POST(self) -> None:
        if "approver" in self.roles():
            self.answer(200, {"approved": True})
        else:
            self.answer(403, {"error": "only an approver may do this"})

    def roles(self) -> list[str]:
        """The caller's roles in the topology. A caller without roles has no such header."""
        return [role for role in self.headers.get("X-Client-Roles", "").split(",") if role]

    def answer(self, status: int, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    # 127.0.0.1 and not 0.0.0.0: a caller that reaches this port without the front could send any headers.
    ThreadingHTTPServer(("127.0.0.1", PORT), App).serve_forever()
