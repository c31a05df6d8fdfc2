"""DER (X.690) as far as it is needed where no library shows or writes what is asked: elements, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

INTEGER: Final = 0x02
BIT_STRING: Final = 0x03
OCTET_STRING: Final = 0x04
NULL: Final = 0x05
OBJECT_IDENTIFIER: Final = 0x06
SEQUENCE: Final = 0x30

_LONG_FORM: Final = 0x80


@dataclass(frozen=True, slots=True)
class Element:
    """One element: its tag, its content, and both with the length between them, as they were read."""

    tag: int
    content: bytes
    encoded: bytes


def elements(encoded: bytes) -> Iterator[Element]:
    """What is in `encoded`. Raises ValueError where that is no DER, or has tags of more than one octet."""
    while encoded:
        tag = encoded[0]
        if tag & 0x1F == 0x1F:
            raise ValueError("a tag of several octets")
        start, length = _length(encoded)
        if start + length > len(encoded):
            raise ValueError("an element that is longer than the data")
        yield Element(tag, encoded[start : start + length], encoded[: start + length])
        encoded = encoded[start + length :]


def _length(encoded: bytes) -> tuple[int, int]:
    """Where the content of the first element starts, and how long it is (X.690 8.1.3, 10.1)."""
    if len(encoded) < 2:
        raise ValueError("an element that is shorter than its length")
    first = encoded[1]
    if first < _LONG_FORM:
        return 2, first
    start = 2 + (first & 0x7F)
    length = int.from_bytes(encoded[2:start])
    if start > len(encoded) or length < _LONG_FORM or encoded[2] == 0:
        raise ValueError("a length that is not in the shortest form")
    return start, length


def element(tag: int, *contents: bytes) -> bytes:
    """An element that holds `contents`, one after the other."""
    content = b"".join(contents)
    if len(content) < _LONG_FORM:
        return bytes((tag, len(content))) + content
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8)
    return bytes((tag, _LONG_FORM | len(length))) + length + content


def integer(value: int) -> bytes:
    """An INTEGER that is not negative."""
    return element(INTEGER, value.to_bytes(value.bit_length() // 8 + 1))
