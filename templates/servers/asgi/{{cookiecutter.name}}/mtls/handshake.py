"""The server's side of a handshake under asyncio: a refused caller gets an alert."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any, cast

from mtls import tls
from mtls.peer import CallerContext
from mtls.tls import Material

connecting: ContextVar[socket.socket] = ContextVar("connecting")
"""The connection of the handshake that begins, for the callbacks of asyncio that make it."""

_END = "-----END CERTIFICATE-----"


class Context(CallerContext):
    """A server's context that knows the certificate it shows and the numbers of its cipher suites (RFC 8446 B.4).

    It tells callers why they are refused.
    """

    certificate: str
    suites: Mapping[str, int]
    sslobject_class: type[ssl.SSLObject]

    def wrap_bio(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, *arguments: Any, **how: Any) -> ssl.SSLObject:
        """As any context does, with an alert at the end of a handshake that fails."""
        made = cast("_Handshake", super().wrap_bio(incoming, outgoing, *arguments, **how))
        made.outgoing, made.connection = outgoing, connecting.get(None)
        return made


class _Handshake(ssl.SSLObject):
    """Sends the alert that OpenSSL has written about a failure (RFC 8446 6.2), which asyncio throws away."""

    outgoing: ssl.MemoryBIO
    connection: socket.socket | None

    def do_handshake(self) -> None:
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError, ssl.SSLSyscallError):
            raise
        except ssl.SSLError:
            if self.connection is not None:
                with contextlib.suppress(OSError):
                    self.connection.send(self.outgoing.read())
            raise


class Store(tls.Store):
    """What lies in tls/, with the server's own certificate in PEM, which Python's ssl module cannot tell."""

    context = Context

    def _load(self, before: Material | None) -> Material:
        material = super()._load(before)
        server = cast("Context", material.server)
        server.sslobject_class = _Handshake
        text = Path(self._folder, "cert.pem").read_text(encoding="ascii")
        server.certificate = text[: text.index(_END) + len(_END)] + "\n"
        server.suites = {suite["name"]: suite["id"] & 0xFFFF for suite in server.get_ciphers()}
        return material
