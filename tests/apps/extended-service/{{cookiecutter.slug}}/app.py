"""{{ cookiecutter.slug|shout }} It listens on loopback alone, behind a front."""

import os
from wsgiref.simple_server import make_server


def app(environ, start_response):
    caller = environ.get("HTTP_X_CLIENT_IDENTITY")
    start_response("200 OK" if caller else "403 Forbidden", [("Content-Type", "text/plain")])
    return [f"{{ cookiecutter.slug|shout }} {caller}".encode()]


make_server("127.0.0.1", int(os.environ["PORT"]), app).serve_forever()
