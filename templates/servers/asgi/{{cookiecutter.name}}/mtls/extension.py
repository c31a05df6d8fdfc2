"""The ASGI TLS extension, version 0.2: what a handshake was, as an entry of the scope."""

from __future__ import annotations

import contextlib
import functools
import ssl
from collections.abc import Mapping
from typing import Any, cast

from mtls import der
from mtls.handshake import Context
from mtls.peer import Chain

_VERSIONS = {"TLSv1.2": 0x0303, "TLSv1.3": 0x0304}

# RFC 4514 3: the names that are written out; X.520's others are dotted, with the value in hex.
_SHORT = {
    "2.5.4.3": "CN",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "2.5.4.6": "C",
    "2.5.4.9": "STREET",
    "0.9.2342.19200300.100.1.25": "DC",
    "0.9.2342.19200300.100.1.1": "UID",
}
_ENCODINGS = {0x0C: "utf-8", 0x13: "ascii", 0x16: "ascii", 0x12: "ascii", 0x1E: "utf-16-be", 0x1C: "utf-32-be"}
"""Of the types of text that have one (X.690 8.23): UTF8, Printable, IA5, Numeric, BMP and Universal strings."""


def describe(connection: ssl.SSLObject, chain: Chain) -> Mapping[str, Any]:
    """The entry `tls` of `extensions`. The chain is the one that was verified, without the root at its end."""
    name, _, _ = connection.cipher() or ("", "", 0)
    context = cast("Context", connection.context)
    return {
        "server_cert": context.certificate,
        **_of_caller(chain),
        "client_cert_error": None,
        "tls_version": _VERSIONS.get(connection.version() or ""),
        "cipher_suite": context.suites.get(name),
    }


@functools.lru_cache(maxsize=1024)
def _of_caller(chain: Chain) -> Mapping[str, Any]:
    return {
        "client_cert_chain": tuple(ssl.DER_cert_to_PEM_cert(certificate) for certificate in chain[:-1]),
        "client_cert_name": distinguished_name(chain[0]),
    }


def distinguished_name(certificate: bytes) -> str:
    """The subject as a text (RFC 4514 2). Raises ValueError."""
    return ",".join(
        "+".join(_attribute(identifier, value) for identifier, value in relative)
        for relative in reversed(der.subject(certificate))
    )


def _attribute(identifier: str, value: der.Element) -> str:
    short, encoding = _SHORT.get(identifier), _ENCODINGS.get(value.tag)
    if short is not None and encoding is not None:
        with contextlib.suppress(UnicodeDecodeError):
            return f"{short}={_escaped(value.content.decode(encoding))}"
    return f"{short or identifier}=#{value.encoded.hex()}"


def _escaped(text: str) -> str:
    """RFC 4514 2.4."""
    escaped = "".join(f"\\{sign}" if sign in '\\",+;<>' else "\\00" if sign == "\0" else sign for sign in text)
    if escaped.endswith(" "):
        escaped = f"{escaped[:-1]}\\ "
    return f"\\{escaped}" if escaped.startswith((" ", "#")) else escaped
