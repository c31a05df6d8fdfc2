"""A server of our own that stands where a caller expects another: it shows a certificate and writes down who spoke.

A caller that checks its callee never sends a request to a false one. The true twin answers as a rendered server does.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
from dataclasses import dataclass, field
from types import TracebackType

from OpenSSL import SSL

from scaffold.running.services import LOOPBACK
from scaffold.topology.model import HostPort
from scaffold.verify import tls
from scaffold.verify.credentials import Credentials
from scaffold.verify.probe import PATIENCE
from scaffold.verify.tls import Connection, TlsError

_END_OF_HEAD = b"\r\n\r\n"
_HEAD_LIMIT = 1 << 16


@dataclass(slots=True)
class Visits:
    """What reached an impostor while it showed one certificate: TCP connections, and the heads of requests."""

    connections: int = 0
    requests: list[str] = field(default_factory=list)

    def header(self, name: str) -> tuple[str, ...]:
        """All values of a header in all requests."""
        pattern = re.compile(rf"^{re.escape(name)}:[ \t]*(.*?)\r?$", re.IGNORECASE | re.MULTILINE)
        return tuple(value for request in self.requests for value in pattern.findall(request))


class Impostor:
    """Listens on a loopback port of its own from construction until its block ends.

    `turn` is held by whoever shows a certificate and calls; the callers of one impostor take turns.
    """

    def __init__(self, name: str) -> None:
        self.turn = threading.Lock()
        self._answer = answer_of(name)
        self._shown: tuple[SSL.Context, Visits] | None = None
        self._listener = socket.create_server((LOOPBACK, 0))
        self.address = HostPort(LOOPBACK, self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._accept, name=f"impostor of {name}", daemon=True)
        self._thread.start()

    def __enter__(self) -> Impostor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # shutdown(2) wakes the thread that waits in accept(2); close alone would not.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(1.0)

    def show(self, credentials: Credentials, staple: bytes | None = None) -> Visits:
        """From the next connection on, show this certificate; what comes is written into the returned value.

        `staple` is the DER OCSP response that goes with it, to who asks. Raises CannotOffer where this machine's TLS
        library cannot load the certificate.
        """
        context, visits = tls.server_context(credentials, staple), Visits()
        self._shown = context, visits
        return visits

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            if self._shown is None:
                return
            context, visits = self._shown
            visits.connections += 1
            connection.settimeout(PATIENCE)
            with contextlib.suppress(OSError, TlsError):
                self._converse(tls.accepting(context, connection), visits)

    def _converse(self, secured: Connection, visits: Visits) -> None:
        secured.handshake()
        if head := _head(secured):
            visits.requests.append(head)
            secured.sendall(self._answer)
            secured.close()


def _head(connection: Connection) -> str:
    """The request line and headers; whatever came, where that is no whole request; empty where nothing came."""
    received = b""
    while _END_OF_HEAD not in received and len(received) < _HEAD_LIMIT and (more := connection.recv(4096)):
        received += more
    return received.partition(_END_OF_HEAD)[0].decode("latin-1")


def answer_of(name: str) -> bytes:
    """The HTTP response of a rendered server called `name`, who was not told who asks."""
    body = json.dumps({"server": name, "caller": None, "roles": [], "on_behalf_of": None}).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n"
    return head.encode() + b"\r\n" + body
