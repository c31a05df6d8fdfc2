"""One raw call over mutual TLS with exactly the given certificate, and what became of it, layer by layer.

It trusts whatever server it meets: it asks who gets in, while the rendered clients' own calls ask whom they trust.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import os
import socket
import ssl
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from scaffold.topology.model import HostPort
from scaffold.verify.credentials import Credentials, stranger
from scaffold.verify.model import Layer

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
    `after_handshake` is as good a refusal as one within; Kestrel and TLS 1.2 refuse so without any alert.
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


class CannotOffer(Exception):
    """The TLS library of this Python cannot load the certificate, or speak the protocol, that a probe needs."""


def call(
    target: Target,
    credentials: Credentials | None,
    path: str = "/",
    headers: Mapping[str, str] | None = None,
    newest: ssl.TLSVersion | None = None,
) -> Outcome:
    """GET `path` with the certificate (None: with none), speaking at most `newest` where that is given.

    Raises CannotOffer where this machine's library cannot make the attempt.
    """
    context = client_context(credentials, newest)
    try:
        raw = socket.create_connection((target.address.host, target.address.port), timeout=PATIENCE)
    except OSError as error:
        return Unreachable(error.strerror or str(error))
    with raw:
        try:
            connection = context.wrap_socket(raw, server_hostname=target.server_name)
        except TimeoutError:
            return Stuck(Layer.TLS, f"no end of the handshake within {PATIENCE:g} s")
        except ssl.SSLError as error:
            return _refused_handshake(error)
        except OSError:
            return Closed(None, after_handshake=False)
        with connection:
            return _converse(connection, _request(target, path, headers or {}))


def call_plainly(address: HostPort, path: str) -> Outcome:
    """GET `path` over plain HTTP."""
    try:
        plain = socket.create_connection((address.host, address.port), timeout=PATIENCE)
    except OSError as error:
        return Unreachable(error.strerror or str(error))
    with plain:
        return _converse(plain, _request(Target(address, str(address)), path, {}))


def client_context(credentials: Credentials | None, newest: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    """A context that sends exactly this certificate and asks nothing of the server's. Raises CannotOffer."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    if newest is not None:
        _hold_back(context, newest)
    if credentials is not None:
        load(context, credentials)
    return context


def load(context: ssl.SSLContext, credentials: Credentials) -> None:
    """Load key and certificates into a context; OpenSSL's binding reads files alone, so for a moment there are two."""
    with tempfile.TemporaryDirectory(prefix="scaffold-verify-") as folder:  # 0700, by mkdtemp(3)
        certificates, key = Path(folder, "cert.pem"), Path(folder, "key.pem")
        write_secret(certificates, credentials.certificates)
        write_secret(key, credentials.key)
        try:
            context.load_cert_chain(certificates, key)
        except ssl.SSLError as error:
            reason = (error.reason or str(error)).lower().replace("_", " ")
            raise CannotOffer(f"{ssl.OPENSSL_VERSION} cannot load the certificate: {reason}") from error


def write_secret(path: Path, content: bytes) -> None:
    """A new file that is 0600 from birth."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)


def _hold_back(context: ssl.SSLContext, newest: ssl.TLSVersion) -> None:
    if not speaks(newest):
        raise CannotOffer(f"{ssl.OPENSSL_VERSION} does not speak {newest.name.replace('_', '.')} itself")
    _limit(context, newest)


def _limit(context: ssl.SSLContext, newest: ssl.TLSVersion) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = newest
    # OpenSSL 3 signs with SHA-1, as TLS 1.1 and older must, at security level 0 alone (SSL_CTX_set_security_level(3)).
    context.set_ciphers("ALL:@SECLEVEL=0")


@functools.cache
def speaks(version: ssl.TLSVersion) -> bool:
    """Whether this library can shake hands in `version`: tried on itself, in memory.

    Distributions switch old protocols off, and an attempt that never left our own library would look like a refusal.
    """
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), client_context(None)
    load(server, stranger())
    _limit(server, version)
    _limit(client, version)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(to_client, to_server, server_side=False),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    for _ in range(4):  # Each side has its say at most twice, in every version of TLS.
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError:
                return False
    return ends[0].version() is not None


def _request(target: Target, path: str, headers: Mapping[str, str]) -> bytes:
    lines = [f"GET {path} HTTP/1.1", f"Host: {target.server_name}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _refused_handshake(error: ssl.SSLError) -> Outcome:
    if (alert := _alert(error)) is not None:
        return Closed(alert, after_handshake=False)
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return Closed(None, after_handshake=False)
    return Stuck(Layer.TLS, (error.reason or str(error)).lower().replace("_", " "))


def _converse(connection: socket.socket, request: bytes) -> Outcome:
    """Send and, whatever becomes of that, read: what the server thinks of our certificate may only come now."""
    with contextlib.suppress(OSError):
        connection.sendall(request)
    response = http.client.HTTPResponse(connection, method="GET")
    try:
        response.begin()
        return Answered(response.status, response.read(BODY_LIMIT))
    except TimeoutError:
        return Stuck(Layer.HTTP, f"the handshake was done and no answer came within {PATIENCE:g} s")
    except ssl.SSLError as error:
        return Closed(_alert(error), after_handshake=True)
    except (http.client.RemoteDisconnected, ConnectionError):
        return Closed(None, after_handshake=True)
    except http.client.HTTPException as error:
        return Stuck(Layer.HTTP, f"the answer is no HTTP: {type(error).__name__}")
    finally:
        response.close()


def _alert(error: ssl.SSLError) -> str | None:
    """`unknown ca` out of OpenSSL's TLSV1_ALERT_UNKNOWN_CA; None where the error is no alert of the other side."""
    _, found, words = (error.reason or "").partition("_ALERT_")
    return words.lower().replace("_", " ") if found else None
