"""Distinguished names as people write them: RFC 4514, and the RFC 2253 form that OpenSSL prints, read into parts."""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from scaffold.topology.messages import Invalid, nearest, shown

SHORT_NAMES: Final = MappingProxyType(
    {
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
)
"""The short names of OpenSSL's object table (crypto/objects/objects.txt) by OID; others are printed by their OID."""

# As others print them: Java, Windows, and OpenSSL's long names.
_OTHER_NAMES: Final = {
    "e": "emailAddress",
    "email": "emailAddress",
    "s": "ST",
    "t": "title",
    "g": "GN",
    "givenname": "GN",
    "surname": "SN",
    "commonname": "CN",
    "countryname": "C",
    "localityname": "L",
    "organizationname": "O",
    "organizationalunitname": "OU",
    "stateorprovincename": "ST",
    "streetaddress": "street",
    "userid": "UID",
    "domaincomponent": "DC",
}
_BY_NAME: Final = {name.lower(): name for name in SHORT_NAMES.values()} | _OTHER_NAMES
_OID: Final = re.compile(r"(?:OID\.)?((?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*))+)", re.IGNORECASE)
_HEX_VALUE: Final = re.compile(r"#(?:[0-9A-Fa-f]{2})+")
_ESCAPED: Final = frozenset(' "#+,;<=>\\')

MOST_SPELLINGS: Final = 24
"""So many orders the attributes of multi-valued parts may have in all: four attributes in one part, at most."""


@dataclass(frozen=True, slots=True, order=True)
class Attribute:
    """`type` is OpenSSL's short name, or an OID; `value` is text, or `#` and the DER of the value in upper-case hex."""

    type: str
    value: str
    is_hex: bool = False


Name = tuple[tuple[Attribute, ...], ...]
"""Relative distinguished names, the last of the certificate first, as RFC 2253 2.1 writes them; most have one part."""


def parse(text: str) -> Name:
    """Reads a name. Raises Invalid for what is none, and for an attribute whose printed form cannot be known."""
    name = tuple(tuple(_attribute(part, text) for part in _split(rdn, "+")) for rdn in _split(text, ",;"))
    if math.prod(math.factorial(len(rdn)) for rdn in name) > MOST_SPELLINGS:
        hint = "use a subject without +, since the order of such attributes depends on their encoding"
        raise Invalid(f"{shown(text)} has too many attributes joined by +", hint)
    return name


def spellings(name: Name) -> tuple[Name, ...]:
    """The name with the attributes of each multi-valued part in every order: a set has none (X.501 8.2)."""
    return tuple(itertools.product(*(itertools.permutations(rdn) for rdn in name)))


def comparable(name: Name) -> tuple[frozenset[Attribute], ...]:
    """Equal for two names that are printed alike, apart from the order within multi-valued parts."""
    return tuple(map(frozenset, name))


def _split(text: str, separators: str) -> list[str]:
    """The parts between separators that are neither escaped nor in quotes."""
    parts, start, quoted, index = [], 0, False, 0
    while index < len(text):
        if text[index] == "\\":
            index += 1
        elif text[index] == '"':
            quoted = not quoted
        elif text[index] in separators and not quoted:
            parts.append(text[start:index])
            start = index + 1
        index += 1
    if quoted:
        raise Invalid(f"{shown(text)} has a quotation mark that is not closed", 'a mark in a value is written \\"')
    return [*parts, text[start:]]


def _attribute(part: str, whole: str) -> Attribute:
    name, equals, value = part.partition("=")
    if not equals or not name.strip():
        raise Invalid(f"{shown(whole)} is not a distinguished name", _EXAMPLE)
    type_, value = _type(name.strip()), _stripped(value)
    if _HEX_VALUE.fullmatch(value):
        return _from_der(type_, value, whole)
    if type_ not in SHORT_NAMES.values():
        hint = "`openssl x509 -noout -subject -nameopt RFC2253 -in FILE` prints it: # and hex"
        raise Invalid(f"the value of {type_} in {shown(whole)} cannot be known from text", hint)
    return Attribute(type_, _value(value, whole))


def _from_der(type_: str, value: str, whole: str) -> Attribute:
    """A value in hex: OpenSSL prints strings of the types that it knows as text, and the rest as it is."""
    encoded = bytes.fromhex(value[1:])
    encoding = _STRINGS.get(encoded[0]) if type_ in SHORT_NAMES.values() else None
    if encoding is None or len(encoded) < 2 or encoded[1] != len(encoded) - 2:
        return Attribute(type_, value.upper(), is_hex=True)
    try:
        return Attribute(type_, encoded[2:].decode(encoding))
    except UnicodeDecodeError:
        raise Invalid(f"{shown(whole)} has a value in hex that cannot be read", _EXAMPLE) from None


# UTF8String, NumericString, PrintableString, T61String (which everybody reads as Latin-1), IA5String, VisibleString,
# UniversalString, BMPString: the tags of X.680 8.4.
_STRINGS: Final = {
    0x0C: "utf-8",
    0x12: "ascii",
    0x13: "ascii",
    0x14: "latin-1",
    0x16: "ascii",
    0x1A: "ascii",
    0x1C: "utf-32-be",
    0x1E: "utf-16-be",
}
_EXAMPLE: Final = "as `openssl x509 -noout -subject -nameopt RFC2253 -in FILE` prints it: CN=gateway,O=Partner,C=NL"


def _type(name: str) -> str:
    if (oid := _OID.fullmatch(name)) is not None:
        return SHORT_NAMES.get(oid[1], oid[1])
    if (known := _BY_NAME.get(name.lower())) is not None:
        return known
    raise Invalid(f"{shown(name)} is not an attribute of a name", nearest(name, SHORT_NAMES.values()) or _EXAMPLE)


def _stripped(value: str) -> str:
    """Spaces around a value do not count, unless they are escaped (RFC 2253 4, RFC 4514 2.4)."""
    value = value.lstrip(" ")
    bare = value.rstrip(" ")
    escapes = len(bare) - len(bare.rstrip("\\"))
    return f"{bare} " if escapes % 2 and bare != value else bare


def _value(text: str, whole: str) -> str:
    """The text that is meant: quotes and escapes taken away (RFC 2253 2.4 and 4)."""
    if len(text) >= 2 and text.startswith('"') and text.endswith('"'):
        text = text[1:-1]
    octets, index = bytearray(), 0
    while index < len(text):
        if text[index] != "\\":
            octets += text[index].encode()
            index += 1
            continue
        following = text[index + 1 : index + 3]
        if re.fullmatch(r"[0-9A-Fa-f]{2}", following):
            octets.append(int(following, 16))
            index += 3
        elif following[:1] in _ESCAPED and following:
            octets += following[0].encode()
            index += 2
        else:
            raise Invalid(f"{shown(whole)} has a \\ before a character that needs none", "a \\ itself is written \\\\")
    try:
        value = octets.decode()
    except UnicodeDecodeError:
        raise Invalid(f"{shown(whole)} has escaped octets that are no UTF-8", _EXAMPLE) from None
    if not value:
        raise Invalid(f"{shown(whole)} has an attribute without a value", _EXAMPLE)
    return value
