"""{{ cookiecutter.service_name }}: says who calls. It listens on loopback alone, behind a front."""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

NAME = "{{ cookiecutter.__shouted }}"
LABELS = {{ cookiecutter.labels }}
WORKERS = {{ cookiecutter.workers }}
{% if cookiecutter.log_level == "debug" %}
DEBUG = True
{% else %}
DEBUG = False
{% endif %}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/healthz":
            return self.answer(200, {})
        caller = self.headers.get("X-Client-Identity")
        if caller is None:
            return self.answer(403, {})
        return self.answer(200, {"app": NAME, "caller": caller})

    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "5000"))), Handler)
    print(f"{NAME} listens on {server.server_port}", flush=True)
    server.serve_forever()
