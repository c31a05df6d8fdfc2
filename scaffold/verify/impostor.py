"""A server of our own that is where a caller expects another: it shows a certificate and writes down who spoke.

A caller that checks its callee never sends a request to a false one. The true twin answers as a rendered server does,
where it speaks HTTP; in another protocol it hears the beginning of a request, and hangs up.
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from OpenSSL import SSL

from scaffold.kinds.capabilities import Exchange
from scaffold.verify import tls
from scaffold.verify.credentials import Credentials
from scaffold.verify.loopback import LoopbackServer, json_response, received_head
from scaffold.verify.tls import Connection, TlsError

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


class Role(Protocol):
    """What an impostor does with a caller beside the handshake. What it raises ends the connection."""

    def before_tls(self, plain: socket.socket) -> None:
        """What the protocol says before TLS begins."""
        ...

    def hear(self, secured: Connection) -> str:
        """The caller's request; empty where none came."""
        ...

    def answer(self, secured: Connection) -> None: ...


class HttpRole:
    """An HTTP server called `name`, who was not told who asks."""

    def __init__(self, name: str) -> None:
        self._answer = answer_of(name)

    def before_tls(self, plain: socket.socket) -> None:
        """Nothing: TLS comes first."""

    def hear(self, secured: Connection) -> str:
        """The request line and headers; whatever came, where that is no whole request."""
        return received_head(secured.recv, _HEAD_LIMIT)

    def answer(self, secured: Connection) -> None:
        """As a rendered server does."""
        secured.sendall(self._answer)
        secured.close()


class SilentRole:
    """A server of another protocol: it knows how TLS begins there, and nothing of what is said in it."""

    def __init__(self, before_tls: Sequence[Exchange]) -> None:
        self._before_tls = before_tls

    def before_tls(self, plain: socket.socket) -> None:
        """Hear and say what the template declares. Raises ConnectionError where the caller says something else."""
        for exchange in self._before_tls:
            heard = b""
            while len(heard) < len(exchange.receive) and (more := plain.recv(len(exchange.receive) - len(heard))):
                heard += more
            if heard != exchange.receive:
                raise ConnectionError("not as in the protocol before TLS")
            plain.sendall(exchange.send)

    def hear(self, secured: Connection) -> str:
        """The first octets."""
        return secured.recv(4096).decode("latin-1")

    def answer(self, secured: Connection) -> None:
        """Hang up."""
        secured.close()


class Impostor(LoopbackServer):
    """A false server on a loopback port of its own.

    `turn` is held by whoever shows a certificate and calls; the callers of one impostor take turns.
    """

    def __init__(self, name: str, role: Role | None = None) -> None:
        """An HTTP server, unless `role` is another."""
        self.turn = threading.Lock()
        self._role = role or HttpRole(name)
        self._shown: tuple[SSL.Context, Visits] | None = None
        super().__init__(f"impostor of {name}")

    def show(self, credentials: Credentials, staple: bytes | None = None) -> Visits:
        """From the next connection on, show this certificate; what comes is written into the returned value.

        `staple` is the DER OCSP response that goes with it, to who asks. Raises CannotOffer where this machine's TLS
        library cannot load the certificate.
        """
        context, visits = tls.server_context(credentials, staple), Visits()
        self._shown = context, visits
        return visits

    def serve(self, connection: socket.socket) -> None:
        """Shakes hands with the certificate that was last given to `show`."""
        if self._shown is None:
            return
        context, visits = self._shown
        visits.connections += 1
        with contextlib.suppress(TlsError):
            self._role.before_tls(connection)
            self._converse(tls.accepting(context, connection), visits)

    def _converse(self, secured: Connection, visits: Visits) -> None:
        secured.handshake()
        if request := self._role.hear(secured):
            visits.requests.append(request)
            self._role.answer(secured)


def answer_of(name: str) -> bytes:
    """The HTTP response of a rendered server called `name`, who was not told who asks."""
    return json_response({"server": name, "caller": None, "roles": [], "on_behalf_of": None})
