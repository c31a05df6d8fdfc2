"""The TLS context for calls, and what is demanded of a server's certificate."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from policy import Policy

# Object identifiers in their DER form: the extension (RFC 5280 4.2.1.12) and the purpose in it.
_EXTENDED_KEY_USAGE = bytes.fromhex("551d25")
_SERVER_AUTH = bytes.fromhex("2b06010505070301")
_EXTENSIONS = 0xA3  # tag of the extensions in a TBSCertificate, RFC 5280 4.1


def context(folder: Path, demanded: Policy, roots: Path) -> ssl.SSLContext:
    """Presents this client's certificate, and trusts servers below the certificates in `roots`, by name.

    Raises OSError (ssl.SSLError is one) where the files cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # demands a certificate and checks its name
    context.hostname_checks_common_name = False  # names are subject alternative names (RFC 9525 2)
    context.minimum_version = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}[
        demanded.min_version
    ]
    if demanded.ciphers:
        context.set_ciphers(":".join(demanded.ciphers))
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    # Roots that vouch for one server vouch for no other. The system's are never loaded.
    context.load_verify_locations(roots)
    intermediates = _still_valid(folder / "intermediates.pem")
    if intermediates:
        context.load_verify_locations(cadata=intermediates)
    # PARTIAL_CHAIN (on by default in some contexts since Python 3.13) would make anchors of the intermediates.
    context.verify_flags &= ~ssl.VERIFY_X509_PARTIAL_CHAIN
    # RFC 5280 to the letter: CA flags, key identifiers, critical extensions.
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    if demanded.check_crl:
        # Without the flag the CRLs are loaded and ignored. CHAIN asks one of every CA.
        context.load_verify_locations(folder / "crl.pem")
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN
    return context


def _still_valid(file: Path) -> bytes:
    """The certificates of a PEM file that have not expired, in DER one after the other.

    OpenSSL takes an intermediate from here before one of the same name that the server sends: an expired one would
    hide its successor.
    """
    if not file.exists() or b"BEGIN CERTIFICATE" not in file.read_bytes():
        return b""
    reader = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    reader.load_verify_locations(file)
    ends = [ssl.cert_time_to_seconds(str(shown["notAfter"])) for shown in reader.get_ca_certs()]
    encoded = reader.get_ca_certs(binary_form=True)
    now = time.time()
    return b"".join(certificate for end, certificate in zip(ends, encoded, strict=True) if end > now)


def verified_chain(connection: ssl.SSLSocket) -> list[bytes]:
    """The chain that OpenSSL built and verified, leaf first, in DER."""
    if hasattr(connection, "get_verified_chain"):  # Python 3.13
        return cast("list[bytes]", connection.get_verified_chain())
    der_encoding = 2  # _ssl.ENCODING_DER
    chain = connection._sslobj.get_verified_chain()  # type: ignore[attr-defined]
    return [certificate.public_bytes(der_encoding) for certificate in chain]


def is_for_servers(certificate: bytes) -> bool:
    """Whether the certificate (DER) says serverAuth: OpenSSL takes one that says nothing for one that may do all."""
    tbs = next(_elements(next(_elements(certificate))[1]))[1]
    for tag, extensions in _elements(tbs):
        if tag != _EXTENSIONS:
            continue
        for _, extension in _elements(next(_elements(extensions))[1]):
            parts = [content for _, content in _elements(extension)]  # identifier, maybe critical, value
            if parts[0] == _EXTENDED_KEY_USAGE:
                return any(purpose == _SERVER_AUTH for _, purpose in _elements(next(_elements(parts[-1]))[1]))
    return False


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of each DER element (ITU-T X.690 8.1)."""
    start = 0
    while start < len(data):
        head = start + 2
        length = int.from_bytes(data[start + 1 : head], "big")
        if length >= 0x80:
            size = length - 0x80
            length = int.from_bytes(data[head : head + size], "big")
            head += size
        start_of_next = head + length
        yield data[start], data[head:start_of_next]
        start = start_of_next
