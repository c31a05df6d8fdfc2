"""The web service: greets who calls. It listens on loopback alone, behind a front."""

import os
from http.server import BaseHTTPRequestHandler, HTTPServer

GREETING = "{{ cookiecutter.greeting }}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        caller = self.headers.get("X-Client-Identity")
        self.send_response(200 if caller else 403)
        self.end_headers()
        self.wfile.write(f"{GREETING} {caller}".encode())


server = HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler)
print(f"{{ cookiecutter.slug }} listens on {server.server_port}", flush=True)
server.serve_forever()
