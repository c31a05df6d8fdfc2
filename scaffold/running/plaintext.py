"""Whether what listens at an address speaks TLS at all: another program may have taken a server's port."""

from __future__ import annotations

import contextlib
import socket
import ssl
from typing import Final

from scaffold.topology.model import HostPort

_PATIENCE: Final = 3.0
"""Seconds for an answer."""

_RECORDS: Final = frozenset({20, 21, 22})
"""The types of record that may begin a TLS server's answer: change_cipher_spec, alert, handshake (RFC 8446 5.1)."""


def answers_without_tls(address: HostPort) -> bool:
    """Whether it answers a ClientHello with what is no TLS record.

    One that does not answer, or closes the connection, may speak TLS or not.
    """
    try:
        with socket.create_connection((address.host, address.port), _PATIENCE) as connection:
            connection.sendall(_client_hello())
            first = connection.recv(1)
    except OSError:
        return False
    return bool(first) and first[0] not in _RECORDS


def _client_hello() -> bytes:
    sent = ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), sent, server_hostname="localhost").do_handshake()
    return sent.read()
