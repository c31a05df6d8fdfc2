"""{{ cookiecutter.greeting }}: who calls, on the Unix socket that BACKEND names."""

import json
import os
import socketserver
from http.server import BaseHTTPRequestHandler
from pathlib import Path

SOCKET = Path(os.environ["BACKEND"].removeprefix("unix:"))


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        caller = self.headers.get("X-Client-Identity")
        body = json.dumps({"{{ cookiecutter.greeting }}": caller}).encode()
        self.send_response(200 if caller or self.path == "/healthz" else 403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self):
        return "front"


class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


SOCKET.unlink(missing_ok=True)
with Server(str(SOCKET), Handler) as server:
    SOCKET.chmod(0o666)  # the front may run as somebody else; the folder around it says who may come this far
    server.serve_forever()
