"""What is seen of a server's OCSP staple (RFC 6066 8)."""

from __future__ import annotations

import contextlib
from datetime import datetime

from cryptography import x509
from OpenSSL import SSL

from scaffold.errors import Unreadable
from scaffold.pki import staples
from scaffold.verify import tls
from scaffold.verify.judge import Finding
from scaffold.verify.model import Layer, Observed
from scaffold.verify.protocol import PATIENCE, Target
from scaffold.verify.tls import TlsError


def stapled(target: Target, certificate: x509.Certificate, ca: x509.Certificate, now: datetime) -> Finding:
    """What a server staples to its certificate, which `ca` issued."""
    received: list[bytes] = []

    def take(connection: SSL.Connection, response: bytes, data: object) -> bool:
        received.append(response)
        return True

    context = tls.client_context(None)
    context.set_ocsp_client_callback(take)
    try:
        plain = tls.dial(target.address, PATIENCE)
    except OSError:
        return Finding(Observed.UNREACHABLE, Layer.TCP, "nobody answers")
    with plain:
        try:
            # A server that goes on to turn us away, for want of a certificate, has sent its staple before.
            with contextlib.suppress(TlsError, ConnectionError):
                tls.connecting(context, plain, target.server_name, staple=True).handshake()
        except TimeoutError:
            return Finding(Observed.BROKEN, Layer.TLS, f"the handshake was not complete within {PATIENCE:g} s")
    return _judged(b"".join(received), certificate, ca, now)


def _judged(response: bytes, certificate: x509.Certificate, ca: x509.Certificate, now: datetime) -> Finding:
    if not response:
        return _broken("it staples no OCSP response")
    try:
        said = staples.read(response, certificate, ca, now)
    except Unreadable as error:
        return _broken(f"it staples a response that no client accepts: {error}")
    if said.revoked is not None:
        return _broken(f"the stapled response calls it revoked ({said.revoked})")
    if said.next_update <= now:
        return _broken(f"the stapled response expired {said.next_update:%Y-%m-%d %H:%M:%S} UTC")
    return Finding(Observed.ALLOWED, Layer.TLS, f"good, until {said.next_update:%Y-%m-%d %H:%M:%S} UTC")


def _broken(why: str) -> Finding:
    return Finding(Observed.BROKEN, Layer.TLS, why)
