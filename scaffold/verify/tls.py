"""TLS over a socket by pyOpenSSL, with keys that never leave memory.

The standard library's `ssl` loads a private key from a file alone, and can neither ask for a staple nor send one.
"""

from __future__ import annotations

import contextlib
import io
import ipaddress
import socket
import ssl
from collections.abc import Callable
from typing import Any, Final, TypeVar

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from OpenSSL import SSL, crypto

from scaffold.errors import PkiError
from scaffold.pki import bundles
from scaffold.topology.model import ML_DSA, HostPort, Server
from scaffold.verify.credentials import Credentials

_PIECE: Final = 1 << 14
"""Octets that are moved at a time; a TLS record holds no more (RFC 8446 5.1)."""

_ML_DSA_SINCE: Final = 0x30500000
"""OpenSSL 3.5, as OPENSSL_VERSION_NUMBER says it."""

_ALERT: Final = " alert "
"""What OpenSSL's reason for an alert of the other side holds, between the protocol and the alert's name."""

_Takes = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

T = TypeVar("T")


class CannotOffer(Exception):
    """The TLS library of this machine cannot load the certificate, or speak the protocol, that a probe needs."""


class TlsError(Exception):
    """TLS went wrong: `alert` is what the other side says of it (RFC 8446 6.2), None where the fault was found here."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.alert = alert_in(reason)


def alert_in(words: str) -> str | None:
    """The alert of the other side in what OpenSSL says went wrong; None where it names none."""
    return words.partition(_ALERT)[2] or None


class TlsEnded(TlsError):
    """The other side ended the connection without an alert, or with a mere close_notify."""

    def __init__(self) -> None:
        super().__init__("the connection has ended")


# --- Contexts ------------------------------------------------------------------------------------------------------


def client_context(credentials: Credentials | None, newest: ssl.TLSVersion | None = None) -> SSL.Context:
    """A context that sends exactly this certificate and asks nothing of the server's. Raises CannotOffer.

    It speaks TLS 1.2 and newer; with `newest`, that and everything older.
    """
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_alpn_protos([b"http/1.1"])
    _limit(context, newest)
    if credentials is not None:
        _load(context, credentials)
    return context


def server_context(credentials: Credentials, staple: bytes | None = None) -> SSL.Context:
    """A context that shows this certificate, and the DER OCSP response `staple` to who asks. Raises CannotOffer."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    # A resumed session shows no certificate (RFC 8446 2.2): every caller has to look at this one.
    context.set_options(SSL.OP_NO_TICKET)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    if staple is not None:
        context.set_ocsp_server_callback(lambda connection, data: staple)
    _load(context, credentials)
    return context


def library() -> str:
    """The TLS library that probes, by name and version."""
    return SSL.OpenSSL_version(SSL.OPENSSL_VERSION).decode()


def cannot_probe(server: Server) -> str | None:
    """Why this library cannot talk to a server: it knows no signature of the server's key."""
    if server.key in ML_DSA and not knows_ml_dsa():
        return f"{library()} under this Python does not support {server.key}: {server.address} cannot be probed"
    return None


def knows_ml_dsa() -> bool:
    """Whether it signs, and reads signatures, by ML-DSA."""
    return SSL.OPENSSL_VERSION_NUMBER >= _ML_DSA_SINCE


def _load(context: SSL.Context, credentials: Credentials) -> None:
    try:
        leaf, *others = bundles.load_certificates(credentials.certificates)
        context.use_certificate(leaf)
        for one in others:
            context.add_extra_chain_cert(one)
        context.use_privatekey(_key(credentials.key))
    except SSL.Error as error:
        raise CannotOffer(f"{library()} cannot load the certificate: {_reason(error)}") from error
    except (PkiError, ValueError, TypeError, crypto.Error) as error:
        raise CannotOffer(f"the certificate cannot be loaded: {error}") from error


def _key(pem: bytes) -> _Takes | crypto.PKey:
    # A key that is not its certificate's is found out by OpenSSL; the primality checks of RSA would cost milliseconds.
    key = serialization.load_pem_private_key(pem, None, unsafe_skip_rsa_key_validation=True)
    if isinstance(key, _Takes):
        return key
    # From cryptography, pyOpenSSL takes no ML-DSA key, though OpenSSL signs with it; by its own older type, it does.
    return crypto.load_privatekey(crypto.FILETYPE_PEM, pem)


def _limit(context: SSL.Context, newest: ssl.TLSVersion | None) -> None:
    if newest is None:
        context.set_min_proto_version(SSL.TLS1_2_VERSION)
        return
    context.set_min_proto_version(SSL.TLS1_VERSION)
    context.set_max_proto_version(newest)
    # OpenSSL 3 signs with SHA-1, as TLS 1.1 and older must, at security level 0 alone (SSL_CTX_set_security_level(3)).
    context.set_cipher_list(b"ALL:@SECLEVEL=0")


def speaks(version: ssl.TLSVersion, shown: Credentials) -> bool:
    """Whether this library can shake hands in `version`: tried on itself, in memory, with `shown` as the server's.

    Distributions switch old protocols off, and an attempt that never left our own library would look like a refusal.
    """
    of_server = server_context(shown)
    _limit(of_server, version)
    client, server = SSL.Connection(client_context(None, version), None), SSL.Connection(of_server, None)
    client.set_connect_state()
    server.set_accept_state()
    for _ in range(4):  # Each side has its say at most twice, in every version of TLS.
        for one, other in ((client, server), (server, client)):
            try:
                with contextlib.suppress(SSL.WantReadError):
                    one.do_handshake()
            except SSL.Error:
                return False
            with contextlib.suppress(SSL.WantReadError):
                other.bio_write(one.bio_read(_PIECE))
    return client.get_protocol_version() == version


# --- Connections ---------------------------------------------------------------------------------------------------


class Connection:
    """TLS over a connected socket, whose timeout is the patience of every step.

    It has what `http.client` needs of a socket. What it does raises TlsError, and OSError as the socket does.
    """

    def __init__(self, connection: SSL.Connection, plain: socket.socket) -> None:
        self._tls = connection  # over memory alone: pyOpenSSL does not wait on a socket with a timeout
        self._plain = plain

    def handshake(self) -> None:
        """Raises TlsEnded where the other side leaves it."""
        self._step(self._tls.do_handshake)

    def sendall(self, data: bytes) -> None:
        """Send all of it."""
        self._step(lambda: self._tls.sendall(data))

    def recv(self, size: int) -> bytes:
        """What has come, of at most `size` octets; nothing once the other side has ended it."""
        try:
            return self._step(lambda: self._tls.recv(size))
        except TlsEnded:
            return b""

    def close(self) -> None:
        """Say goodbye, and wait for the other side's: an end with something unread would be a reset."""
        with contextlib.suppress(TlsError, OSError):
            self._step(self._tls.shutdown)
            self._plain.shutdown(socket.SHUT_WR)
            while self._plain.recv(_PIECE):
                pass

    def makefile(self, mode: str) -> io.BufferedReader:
        """A file to read from."""
        return io.BufferedReader(_Reader(self))

    def _step(self, act: Callable[[], T]) -> T:
        while True:
            try:
                done = act()
            except SSL.WantReadError:
                self._send_out()
                self._take_in()
            except SSL.Error as error:
                self._send_out()  # an alert of our own
                raise _told(error) from error
            else:
                self._send_out()
                return done

    def _send_out(self) -> None:
        # What the other side said before it left is still to be read.
        with contextlib.suppress(SSL.WantReadError, ConnectionError):
            while piece := self._tls.bio_read(_PIECE):
                self._plain.sendall(piece)

    def _take_in(self) -> None:
        if piece := self._plain.recv(_PIECE):
            self._tls.bio_write(piece)
        else:
            self._tls.bio_shutdown()


class _Reader(io.RawIOBase):
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._connection.recv(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)


def connecting(context: SSL.Context, plain: socket.socket, server_name: str, *, staple: bool = False) -> Connection:
    """The client's end, before its handshake. `staple`: whether it asks for one (RFC 6066 8)."""
    connection = SSL.Connection(context, None)
    connection.set_connect_state()
    if not _is_ip(server_name):  # RFC 6066 3: SNI carries no literal addresses
        connection.set_tlsext_host_name(server_name.encode("idna"))
    if staple:
        connection.request_ocsp()
    return Connection(connection, plain)


def accepting(context: SSL.Context, plain: socket.socket) -> Connection:
    """The server's end, before its handshake."""
    connection = SSL.Connection(context, None)
    connection.set_accept_state()
    return Connection(connection, plain)


def dial(address: HostPort, patience: float) -> socket.socket:
    """A connected socket. Raises OSError."""
    return socket.create_connection((address.host, address.port), timeout=patience)


def _is_ip(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _told(error: SSL.Error) -> TlsError:
    if isinstance(error, SSL.ZeroReturnError | SSL.SysCallError):
        return TlsEnded()
    return TlsError(_reason(error))


def _reason(error: SSL.Error) -> str:
    """The first of OpenSSL's reasons: of each it gives the library, the function and the words."""
    match error.args:
        case ([(_, _, str(words)), *_],) if words:
            return words
        case _:
            return str(error) or type(error).__name__
