"""Distinguished names: common names made, and whole names as one line of text as OpenSSL prints them."""

from __future__ import annotations

import warnings
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from scaffold.pki import der
from scaffold.pki.rfc2253 import attribute as printed
from scaffold.topology.distinguished_names import SHORT_NAMES

COMMON_NAME_LIMIT: Final = 64
"""ub-common-name (RFC 5280 A.1), in characters: X.520 6.2.2 bounds a DirectoryString by those, not by its octets."""

# cryptography counts the octets of UTF-8, and warns of lawful names whenever it makes or reads one.
warnings.filterwarnings("ignore", "Attribute's length must be", UserWarning)

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
    short = SHORT_NAMES.get(oid)
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
