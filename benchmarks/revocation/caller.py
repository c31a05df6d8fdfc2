"""A client in this process: a new TLS connection and one GET per call, so that calls can be timed side by side.

pyOpenSSL, because the standard library's `ssl` cannot see a staple.
"""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from OpenSSL import SSL

from scaffold.errors import Unreadable
from scaffold.pki import bundles, staples
from scaffold.topology.model import HostPort

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
TIMEOUT = 30.0


class Refused(Exception):
    """The server let this caller not in, or the caller did not believe the server."""


@dataclass(frozen=True)
class Cost:
    """Of one call: seconds by the clock, and seconds of this thread's CPU."""

    seconds: float
    cpu: float


class Caller:
    """Calls with the certificate of a project; with `staple_from` it demands a staple that this CA stands behind."""

    def __init__(self, project: Path, staple_from: x509.Certificate | None = None) -> None:
        self._issuer = staple_from
        self._context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        self._context.use_certificate_chain_file(str(project / "tls/cert.pem"))
        self._context.use_privatekey_file(str(project / "tls/key.pem"))
        self._context.load_verify_locations(str(project / "tls/ca.pem"))
        self._context.set_verify(SSL.VERIFY_PEER)
        if staple_from is not None:
            self._context.set_ocsp_client_callback(self._believes)

    def call(self, where: HostPort) -> Cost:
        """One connection, one handshake, one GET. Raises Refused; OSError where nobody is there."""
        start, cpu = time.perf_counter(), time.thread_time()
        with socket.create_connection((where.host, where.port), TIMEOUT) as plain:
            plain.settimeout(None)  # pyOpenSSL does not wait on a socket with a timeout
            self._exchange(plain)
        return Cost(time.perf_counter() - start, time.thread_time() - cpu)

    def refusal(self, where: HostPort) -> str:
        """Why a call was refused; empty where it was answered with 200."""
        try:
            self.call(where)
        except Refused as refused:
            return str(refused)
        return ""

    def _exchange(self, plain: socket.socket) -> None:
        self._disbelief = ""
        connection = SSL.Connection(self._context, plain)
        connection.set_tlsext_host_name(b"localhost")
        if self._issuer is not None:
            connection.request_ocsp()
        connection.set_connect_state()
        answer = b""
        try:
            connection.do_handshake()
            connection.sendall(REQUEST)
            while piece := connection.recv(65536):
                answer += piece
        except SSL.ZeroReturnError:
            pass
        except SSL.Error as error:
            raise Refused(self._disbelief or repr(error)) from error
        with contextlib.suppress(SSL.Error):
            connection.shutdown()
        if not answer.startswith(b"HTTP/1.1 200 "):
            raise Refused(json.loads(answer.partition(b"\r\n\r\n")[2])["error"])

    def _believes(self, connection: SSL.Connection, response: bytes, _: object) -> bool:
        leaf = connection.get_peer_certificate(as_cryptography=True)
        assert leaf is not None
        assert self._issuer is not None
        now = datetime.now(UTC)
        try:
            staple = staples.read(response, leaf, self._issuer, now)
        except Unreadable as error:
            self._disbelief = f"staple: {error}"
            return False
        if staple.revoked is not None:
            self._disbelief = f"staple: revoked, {staple.revoked}"
        elif not staple.this_update <= now < staple.next_update:
            self._disbelief = "staple: out of date"
        return not self._disbelief


def certificate(path: Path) -> x509.Certificate:
    """The first certificate of a PEM file."""
    return bundles.load_certificates(path.read_bytes())[0]


@dataclass(frozen=True)
class Refusal:
    """The first one: seconds after the start (time.monotonic()) and its reason."""

    after: float
    reason: str


def first_refusal(refusal: Callable[[], str], start: float, within: float, every: float = 0.1) -> Refusal | None:
    """Calls until `refusal` gives a reason; None where it gave none `within` seconds after `start`."""
    while time.monotonic() - start < within:
        began = time.monotonic()
        if reason := refusal():
            return Refusal(time.monotonic() - start, reason)
        time.sleep(max(0.0, every - (time.monotonic() - began)))
    return None
