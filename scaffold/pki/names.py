"""Distinguished names: common names made, and whole names as one line of text as OpenSSL prints them."""

from __future__ import annotations

import warnings
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from scaffold.pki import der
from scaffold.pki.rfc2253 import attribute as printed

COMMON_NAME_LIMIT: Final = 64
"""ub-common-name (RFC 5280 A.1), in characters: X.520 6.2.2 bounds a DirectoryString by those, not by its octets."""

# cryptography counts the octets of UTF-8, and warns of lawful names whenever it makes or reads one.
warnings.filterwarnings("ignore", "Attribute's length must be", UserWarning)

# The short names of OpenSSL's object table (crypto/objects/objects.txt); every other attribute is printed by its OID.
_SHORT_NAMES: Final = {
    "2.5.4.3": "CN",
    "2.5.4.4": "SN",
    "2.5.4.5": "serialNumber",
    "2.5.4.6": "C",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.9": "street",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "2.5.4.12": "title",
    "2.5.4.13": "description",
    "2.5.4.15": "businessCategory",
    "2.5.4.16": "postalAddress",
    "2.5.4.17": "postalCode",
    "2.5.4.18": "postOfficeBox",
    "2.5.4.20": "telephoneNumber",
    "2.5.4.41": "name",
    "2.5.4.42": "GN",
    "2.5.4.43": "initials",
    "2.5.4.44": "generationQualifier",
    "2.5.4.45": "x500UniqueIdentifier",
    "2.5.4.46": "dnQualifier",
    "2.5.4.65": "pseudonym",
    "2.5.4.97": "organizationIdentifier",
    "0.9.2342.19200300.100.1.1": "UID",
    "0.9.2342.19200300.100.1.25": "DC",
    "1.2.643.3.131.1.1": "INN",
    "1.2.643.100.1": "OGRN",
    "1.2.643.100.3": "SNILS",
    "1.2.840.113549.1.9.1": "emailAddress",
    "1.2.840.113549.1.9.2": "unstructuredName",
    "1.3.6.1.4.1.311.60.2.1.1": "jurisdictionL",
    "1.3.6.1.4.1.311.60.2.1.2": "jurisdictionST",
    "1.3.6.1.4.1.311.60.2.1.3": "jurisdictionC",
}
_ASCII_LOWER: Final = {ord(upper): upper.lower() for upper in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}


def common_name(text: str) -> x509.NameAttribute[str]:
    """The attribute CN. Raises ValueError where it is empty or longer than 64 characters."""
    if not 0 < len(text) <= COMMON_NAME_LIMIT:
        raise ValueError(f"a common name has 1 to {COMMON_NAME_LIMIT} characters, not {len(text)}")
    return x509.NameAttribute(NameOID.COMMON_NAME, text, _validate=False)


def ending_in(text: str, suffix: str) -> str:
    """A common name with `suffix` after it, cut in front of that so that the whole keeps its bound."""
    return f"{text[: COMMON_NAME_LIMIT - 1 - len(suffix)].rstrip()} {suffix}"


def comparable(name: x509.Name) -> tuple[frozenset[tuple[str, str | bytes]], ...]:
    """A name as OpenSSL compares it: in whatever type of string, without regard to ASCII case and surplus spaces."""
    return tuple(frozenset((each.oid.dotted_string, _folded(each.value)) for each in rdn) for rdn in name.rdns)


def _folded(value: str | bytes) -> str | bytes:
    return value if isinstance(value, bytes) else " ".join(value.translate(_ASCII_LOWER).split())


def rfc2253(name: x509.Name) -> str:
    """The name as `openssl x509 -nameopt RFC2253` and servers that hand it on as text print it.

    Last attribute first, without spaces; what is not ASCII as escaped UTF-8 octets (`\\C4\\86`).
    """
    return ",".join("+".join(map(_attribute, reversed(list(rdn)))) for rdn in reversed(name.rdns))


def _attribute(attribute: x509.NameAttribute[str | bytes]) -> str:
    oid = attribute.oid.dotted_string
    short = _SHORT_NAMES.get(oid)
    value = attribute.value
    if short is None or isinstance(value, bytes):
        return f"{short or oid}={_dumped(attribute)}"
    return printed(short, value)


def _dumped(attribute: x509.NameAttribute[str | bytes]) -> str:
    """`#` and the DER of the value in hex (RFC 2253 2.4), as OpenSSL does for an attribute that it does not know."""
    name = x509.Name([x509.RelativeDistinguishedName([attribute])]).public_bytes()
    # Name, RelativeDistinguishedName and AttributeTypeAndValue each hold one thing here (RFC 5280 4.1.2.4).
    [rdn_sequence] = der.elements(name)
    [rdn] = der.elements(rdn_sequence.content)
    [type_and_value] = der.elements(rdn.content)
    _, value = der.elements(type_and_value.content)
    return "#" + value.encoded.hex().upper()
