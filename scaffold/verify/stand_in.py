"""The app behind a front while it is probed: it answers everybody, and writes down what reached it."""

from __future__ import annotations

import itertools
import socket
import ssl
import threading
from collections.abc import Iterable
from dataclasses import replace

from scaffold.verify import http
from scaffold.verify.credentials import Credentials
from scaffold.verify.forwarded import Headers
from scaffold.verify.http import HTTP, Http
from scaffold.verify.loopback import LoopbackServer, json_response, received_head_and_more
from scaffold.verify.protocol import Admitted, Failed, Outcome, Target

_HEAD_LIMIT = 1 << 20
_ANSWER = json_response({"app": "replaces the app behind the server"})


class StandIn(LoopbackServer):
    """An app on a loopback port of its own. Each probe asks for a path of its own, so that what reached it can be told
    apart. What follows an empty body counts among the headers, as it does for some. May be used by several threads.
    """

    def __init__(self, server: str) -> None:
        self._numbers = itertools.count(1)
        self._arrived: dict[str, list[Headers]] = {}
        self._lock = threading.Lock()
        super().__init__(f"app behind {server}")

    def path(self) -> str:
        """One that nobody has asked for yet."""
        return f"/probe-{next(self._numbers)}"

    def reached_at(self, path: str) -> tuple[Headers, ...]:
        """The headers of the requests for a path that have reached the app."""
        with self._lock:
            return tuple(self._arrived.get(path, ()))

    def serve(self, connection: socket.socket) -> None:
        """Answers a request once it is written down."""
        head, body = received_head_and_more(connection.recv, _HEAD_LIMIT)
        line, *lines = head.split("\r\n")
        if len(words := line.split()) == 3:
            headers = _fields(lines)
            if any(name.lower() == "transfer-encoding" for name, _ in headers):
                headers = (*headers, *_trailers(connection, body))
            self._keep(words[1], headers)
            connection.sendall(_ANSWER)

    def _keep(self, path: str, headers: Headers) -> None:
        with self._lock:
            self._arrived.setdefault(path, []).append(headers)


def _fields(lines: Iterable[str]) -> Headers:
    return tuple((name, value.strip()) for name, _, value in (line.partition(":") for line in lines))


def _trailers(connection: socket.socket, body: bytes) -> Headers:
    """The fields after an empty body in chunks, which begins with `body`. Raises ConnectionError if it does not end."""
    while not body.endswith(b"\r\n\r\n"):
        if not (more := connection.recv(4096)) or len(body) > _HEAD_LIMIT:
            raise ConnectionError("the request does not end")
        body += more
    _, *lines = body.decode("latin-1").split("\r\n")
    return _fields(filter(None, lines))


class Fronting(Http):
    """HTTP with a front, and with the app behind it: whoever is refused reaches neither."""

    def __init__(self, app: StandIn) -> None:
        self._app = app

    def call(
        self,
        target: Target,
        credentials: Credentials | None,
        *,
        claimed: str = "",
        newest: ssl.TLSVersion | None = None,
    ) -> Outcome:
        """As HTTP's, and then the same caller asks the app; the outcome holds what that was told."""
        answer = super().call(target, credentials, newest=newest)
        return _both(answer, *self._ask(target, credentials, (), newest))

    def call_with(self, target: Target, credentials: Credentials, headers: Headers) -> Outcome:
        """The same with headers of the caller's own, which the app alone is asked with."""
        answer = super().call(target, credentials)
        return _both(answer, *self._ask(target, credentials, headers, None))

    def reached_by_trailers(self, target: Target, credentials: Credentials, trailers: Headers) -> tuple[Headers, ...]:
        """What reaches the app of fields after a body: nothing where the front refuses them."""
        path = self._app.path()
        http.call_with_trailers(target, credentials, path, trailers)
        return self._app.reached_at(path)

    def _ask(
        self, target: Target, credentials: Credentials | None, headers: Headers, newest: ssl.TLSVersion | None
    ) -> tuple[Outcome, tuple[Headers, ...]]:
        path = self._app.path()
        outcome = http.meaning(http.call(target, credentials, path, headers, newest))
        return outcome, self._app.reached_at(path)


def _both(answer: Outcome, asked: Outcome, reached: tuple[Headers, ...]) -> Outcome:
    """What a front's own answer, and what of the other request reached the app, come to."""
    match answer, asked, reached:
        case Admitted(), Admitted(), [headers]:
            return replace(answer, reached=headers)
        case Admitted(), Admitted() | Failed(), _:
            times = f"{len(reached)} times" if reached else "never"
            return Failed(HTTP, f"the server lets it in, and its request reached the app {times}: {asked.words}")
        case Admitted(), _, _:
            return asked
        case _, _, [headers, *_]:
            return Admitted(HTTP, "its request reached the app behind the server", b"", reached=headers)
        case _, Admitted(), _:
            return asked
        case _:
            return answer
