"""Reads out of a certificate in DER what Python's ssl module does not show of a whole chain.

The certificates that come here have been verified by OpenSSL already; what is malformed raises ValueError all the same.
"""

from __future__ import annotations

import calendar
import hashlib
from collections.abc import Iterator
from typing import NamedTuple

# DER tags, ITU-T X.690 8.1.2
SEQUENCE, OCTET_STRING, OBJECT_IDENTIFIER, VERSION, EXTENSIONS, URI, DNS = 0x30, 0x04, 0x06, 0xA0, 0xA3, 0x86, 0x82
UTC_TIME, GENERALIZED_TIME = 0x17, 0x18

# Object identifiers in their encoded form, RFC 5280 4.2.1.6 and 4.2.1.12
SUBJECT_ALT_NAME = bytes.fromhex("551d11")
EXTENDED_KEY_USAGE = bytes.fromhex("551d25")
SERVER_AUTH = bytes.fromhex("2b06010505070301")
CLIENT_AUTH = bytes.fromhex("2b06010505070302")


class Element(NamedTuple):
    """One tag-length-value; `encoded` is the whole of it."""

    tag: int
    content: bytes
    encoded: bytes


def spki_sha256(certificate: bytes) -> str:
    """The hex SHA-256 of its SubjectPublicKeyInfo, which names the key whatever the certificate is called."""
    return hashlib.sha256(_fields(certificate)[5].encoded).hexdigest()


def not_after(certificate: bytes) -> float:
    """The last second in which it is valid, in Unix time (RFC 5280 4.1.2.5)."""
    _, last = _elements(_fields(certificate)[3].content)
    digits = last.content.decode("ascii").removesuffix("Z")
    if last.tag == UTC_TIME:
        digits = ("19" if digits >= "50" else "20") + digits
    elif last.tag != GENERALIZED_TIME:
        raise ValueError("a date is of another type")
    year, rest = int(digits[:4]), digits[4:]
    return calendar.timegm((year, *(int(rest[i : i + 2]) for i in range(0, 10, 2))))


def key_purposes(certificate: bytes) -> set[bytes]:
    """The object identifiers of its extended key usage; empty where it has none."""
    value = _extension(certificate, EXTENDED_KEY_USAGE)
    return {purpose.content for purpose in _elements(_only(value).content)} if value else set()


def uri_names(certificate: bytes) -> list[str]:
    """The URIs among its subject alternative names."""
    return _alternative_names(certificate, URI)


def dns_names(certificate: bytes) -> list[str]:
    """The DNS names among its subject alternative names."""
    return _alternative_names(certificate, DNS)


def _alternative_names(certificate: bytes, tag: int) -> list[str]:
    value = _extension(certificate, SUBJECT_ALT_NAME)
    names = _elements(_only(value).content) if value else ()
    return [name.content.decode("ascii") for name in names if name.tag == tag]


def _fields(certificate: bytes) -> list[Element]:
    """Serial number, signature, issuer, validity, subject, key, and what may follow."""
    return [field for field in _tbs_certificate(certificate) if field.tag != VERSION]


def _tbs_certificate(certificate: bytes) -> list[Element]:
    fields = list(_elements(next(_elements(_only(certificate).content)).content))
    if len(fields) < 7:
        raise ValueError("a certificate has more fields")
    return fields


def _extension(certificate: bytes, identifier: bytes) -> bytes | None:
    for field in _tbs_certificate(certificate):
        if field.tag != EXTENSIONS:
            continue
        for extension in _elements(_only(field.content).content):
            parts = list(_elements(extension.content))  # identifier, maybe critical, value
            if parts[0] == (OBJECT_IDENTIFIER, identifier, parts[0].encoded) and parts[-1].tag == OCTET_STRING:
                return parts[-1].content
    return None


def _only(data: bytes) -> Element:
    first, *more = _elements(data)
    if more or first.tag != SEQUENCE:
        raise ValueError("not one sequence")
    return first


def _elements(data: bytes) -> Iterator[Element]:
    start = 0
    while start < len(data):
        head = start + 2
        length = int.from_bytes(data[start + 1 : head], "big")
        if length >= 0x80:
            size = length - 0x80
            length = int.from_bytes(data[head : head + size], "big")
            head += size
        end = head + length
        if end > len(data) or head > len(data):
            raise ValueError("an element ends outside its container")
        yield Element(data[start], data[head:end], data[start:end])
        start = end
