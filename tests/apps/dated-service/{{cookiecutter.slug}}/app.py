"""Says since when it is, and who calls. It listens on loopback alone, behind a front."""

import os
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

NOTICE = Path("NOTICE").read_text().strip()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        caller = self.headers.get("X-Client-Identity")
        self.send_response(200 if caller or self.path == "/status" else 403)
        self.end_headers()
        self.wfile.write(f"{NOTICE}; {caller}".encode())


HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
