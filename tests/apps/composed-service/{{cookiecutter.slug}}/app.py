"""Says what its settings are called, and who calls. It listens on loopback alone, behind a front."""

import configparser
import os
from http.server import BaseHTTPRequestHandler, HTTPServer

settings = configparser.ConfigParser()
settings.read("settings.ini")
NAME = settings["app"]["name"]


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        caller = self.headers.get("X-Client-Identity")
        self.send_response(200 if caller else 403)
        self.end_headers()
        self.wfile.write(f"{NAME} {caller}".encode())


HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
