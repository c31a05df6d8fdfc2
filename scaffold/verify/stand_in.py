"""The app behind a front while it is probed: it answers everybody, and writes down what reached it."""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
import ssl
import threading
from dataclasses import replace
from types import TracebackType

from scaffold.running.services import LOOPBACK
from scaffold.topology.model import HostPort
from scaffold.verify import http
from scaffold.verify.credentials import Credentials
from scaffold.verify.forwarded import Headers
from scaffold.verify.http import HTTP, Http
from scaffold.verify.protocol import PATIENCE, Admitted, Failed, Outcome, Target

_END_OF_HEAD = b"\r\n\r\n"
_HEAD_LIMIT = 1 << 20


class StandIn:
    """Listens on a loopback port of its own from construction until its block ends.

    Each probe asks for a path of its own, so that what reached the app can be told apart. May be used by several
    threads.
    """

    def __init__(self, server: str) -> None:
        self._numbers = itertools.count(1)
        self._arrived: dict[str, list[Headers]] = {}
        self._lock = threading.Lock()
        self._listener = socket.create_server((LOOPBACK, 0))
        self.address = HostPort(LOOPBACK, self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._accept, name=f"app behind {server}", daemon=True)
        self._thread.start()

    def __enter__(self) -> StandIn:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # shutdown(2) wakes the thread that waits in accept(2); close alone would not.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(1.0)

    def path(self) -> str:
        """One that nobody has asked for yet."""
        return f"/probe-{next(self._numbers)}"

    def reached_at(self, path: str) -> tuple[Headers, ...]:
        """The headers of the requests for a path that have reached the app."""
        with self._lock:
            return tuple(self._arrived.get(path, ()))

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(PATIENCE)
            received = b""
            while _END_OF_HEAD not in received and len(received) < _HEAD_LIMIT and (more := connection.recv(4096)):
                received += more
            line, *lines = received.partition(_END_OF_HEAD)[0].decode("latin-1").split("\r\n")
            if len(words := line.split()) == 3:
                pairs = (each.partition(":") for each in lines)
                self._keep(words[1], tuple((name, value.strip()) for name, _, value in pairs))
                connection.sendall(_ANSWER)

    def _keep(self, path: str, headers: Headers) -> None:
        with self._lock:
            self._arrived.setdefault(path, []).append(headers)


def _answer() -> bytes:
    body = json.dumps({"app": "stands in for the one behind the front"}).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n"
    return head.encode() + b"\r\n" + body


_ANSWER = _answer()


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
            return Failed(HTTP, f"the front lets it in, and its request reached the app {times}: {asked.words}")
        case Admitted(), _, _:
            return asked
        case _, _, [headers, *_]:
            return Admitted(HTTP, "its request reached the app behind the front", b"", reached=headers)
        case _, Admitted(), _:
            return asked
        case _:
            return answer
