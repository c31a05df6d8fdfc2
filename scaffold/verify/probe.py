"""One raw call over mutual TLS with exactly the given certificate, and what became of it, layer by layer.

It trusts whatever server it meets: it asks who gets in, while the rendered clients' own calls ask whom they trust.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from scaffold.topology.model import HostPort
from scaffold.verify import tls
from scaffold.verify.credentials import Credentials
from scaffold.verify.model import Layer
from scaffold.verify.tls import Connection, TlsEnded, TlsError

CALLER = "/.mtls/caller"
"""Where every server that speaks HTTP says who called; all other paths are the person's."""

PATIENCE = 10.0
"""Seconds for each step of a call. A server that says nothing for so long has neither let anyone in nor refused."""

BODY_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True)
class Target:
    """Where a server is, and the name that SNI and Host carry."""

    address: HostPort
    server_name: str


@dataclass(frozen=True, slots=True)
class Answered:
    """An HTTP answer came back."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Closed:
    """The server ended it: `alert` is OpenSSL's word for the TLS alert, None for an end without one.

    TLS 1.3 lets a client finish before the server has looked at its certificate (RFC 8446 4.4.2), so an end
    `after_handshake` is as good a refusal as one within; some servers refuse so without any alert.
    """

    alert: str | None
    after_handshake: bool


@dataclass(frozen=True, slots=True)
class Unreachable:
    """No connection came about."""

    reason: str


@dataclass(frozen=True, slots=True)
class Stuck:
    """Neither an answer nor an end, or one that is no HTTP: `layer` is where it happened."""

    layer: Layer
    reason: str


Outcome = Answered | Closed | Unreachable | Stuck


def call(
    target: Target,
    credentials: Credentials | None,
    path: str = CALLER,
    headers: Mapping[str, str] | None = None,
    newest: ssl.TLSVersion | None = None,
) -> Outcome:
    """GET `path` with the certificate (None: with none), speaking at most `newest` where that is given.

    Raises CannotOffer where this machine's library cannot load the certificate; whether it speaks `newest` at all is
    for `tls.speaks` to say.
    """
    context = tls.client_context(credentials, newest)
    try:
        plain = tls.dial(target.address, PATIENCE)
    except OSError as error:
        return Unreachable(error.strerror or str(error))
    with plain:
        connection = tls.connecting(context, plain, target.server_name)
        try:
            connection.handshake()
        except TimeoutError:
            return Stuck(Layer.TLS, f"no end of the handshake within {PATIENCE:g} s")
        except TlsError as error:
            return _refused_handshake(error)
        except OSError:
            return Closed(None, after_handshake=False)
        return _converse(connection, _request(target, path, headers or {}))


def call_plainly(address: HostPort, path: str) -> Outcome:
    """GET `path` over plain HTTP."""
    try:
        plain = tls.dial(address, PATIENCE)
    except OSError as error:
        return Unreachable(error.strerror or str(error))
    with plain:
        return _converse(plain, _request(Target(address, str(address)), path, {}))


def _request(target: Target, path: str, headers: Mapping[str, str]) -> bytes:
    lines = [f"GET {path} HTTP/1.1", f"Host: {target.server_name}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _refused_handshake(error: TlsError) -> Outcome:
    if error.alert is not None or isinstance(error, TlsEnded):
        return Closed(error.alert, after_handshake=False)
    return Stuck(Layer.TLS, str(error))


def _converse(connection: socket.socket | Connection, request: bytes) -> Outcome:
    """Send and, whatever becomes of that, read: what the server thinks of our certificate may only come now."""
    with contextlib.suppress(OSError, TlsError):
        connection.sendall(request)
    # HTTPConnection would read nothing once its request could not be sent, and a response needs no more of a socket
    # than a file to read from.
    response = http.client.HTTPResponse(cast(socket.socket, connection), method="GET")
    try:
        response.begin()
        return Answered(response.status, response.read(BODY_LIMIT))
    except TimeoutError:
        return Stuck(Layer.HTTP, f"the handshake was done and no answer came within {PATIENCE:g} s")
    except TlsError as error:
        return Closed(error.alert, after_handshake=True)
    except (http.client.RemoteDisconnected, ConnectionError):
        return Closed(None, after_handshake=True)
    except http.client.HTTPException as error:
        return Stuck(Layer.HTTP, f"the answer is no HTTP: {type(error).__name__}")
    finally:
        response.close()
