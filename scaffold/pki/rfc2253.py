"""The value of a name's attribute as text, byte for byte as OpenSSL prints it by RFC 2253.

Plain text in and out, without a library: what settings say of a certificate that is not made yet must be what a server
that sees names alone reads from it later, so both are printed here.
"""

from __future__ import annotations

from typing import Final

from scaffold.topology.distinguished_names import Attribute, Name

_SPECIAL: Final = frozenset(',+"\\<>;')


def attribute(short_name: str, value: str) -> str:
    """One attribute, such as `O=Banka\\, d.o.o.`; `short_name` is OpenSSL's."""
    return f"{short_name}={_escaped(value)}"


def name(parts: Name) -> str:
    """A whole name, in the order of its parts."""
    return ",".join("+".join(map(_attribute, rdn)) for rdn in parts)


def _attribute(part: Attribute) -> str:
    return f"{part.type}={part.value}" if part.is_hex else attribute(part.type, part.value)


def _escaped(value: str) -> str:
    if value.isascii() and value.replace(" ", "").replace("-", "").isalnum() and value.strip(" ") == value:
        return value
    last = len(value) - 1
    return "".join(_escaped_character(character, index, last) for index, character in enumerate(value))


def _escaped_character(character: str, index: int, last: int) -> str:
    """RFC 2253 2.4, with OpenSSL's habits: control characters and all octets above 0x7E as `\\XX`."""
    if character in _SPECIAL:
        return "\\" + character
    if character == " " and index in (0, last):
        return "\\ "
    # A value that is "#" alone counts as its own last character, and OpenSSL leaves that one bare.
    if character == "#" and index == 0 and last > 0:
        return "\\#"
    if " " <= character <= "~":
        return character
    return "".join(f"\\{octet:02X}" for octet in character.encode())
