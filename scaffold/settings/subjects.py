"""A subject as servers that see nothing else of a certificate print it."""

from __future__ import annotations

from scaffold.topology.model import Subject


def rfc2253(subject: Subject) -> str:
    """A subject as OpenSSL prints it by `XN_FLAG_RFC2253`, and nginx as `$ssl_client_s_dn`.

    Its certificate holds the attributes in the order C, ST, L, O, OU, CN; RFC 2253 2.1 prints them from the last.
    """
    attributes = (
        ("CN", subject.common_name),
        ("OU", subject.organizational_unit),
        ("O", subject.organization),
        ("L", subject.locality),
        ("ST", subject.state),
        ("C", subject.country),
    )
    return ",".join(f"{label}={_escaped(value)}" for label, value in attributes if value)


def _escaped(value: str) -> str:
    """A value by RFC 2253 2.4; control characters and non-ASCII bytes of its UTF-8 as `\\XX` (OpenSSL's ESC_MSB)."""
    if value.isascii() and value.replace(" ", "").replace("-", "").isalnum() and value.strip(" ") == value:
        return value
    last = len(value.encode()) - 1
    return "".join(_escaped_byte(byte, index, last) for index, byte in enumerate(value.encode()))


def _escaped_byte(byte: int, index: int, last: int) -> str:
    character = chr(byte)
    if byte < 0x20 or byte >= 0x7F:
        return f"\\{byte:02X}"
    if character in ',+"\\<>;' or (character == " " and index in (0, last)) or (character == "#" and index == 0):
        return f"\\{character}"
    return character
