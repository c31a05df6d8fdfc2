"""The sources of keys and serials: the operating system's, and what any other must be able to decide."""

from __future__ import annotations

import pytest

from scaffold.pki.issue import new_serial
from scaffold.pki.keys import key_type
from scaffold.pki.randomness import OPERATING_SYSTEM
from scaffold.topology.model import KeyType


@pytest.mark.parametrize("kind", KeyType)
def test_every_type_of_key_is_made_and_no_two_are_the_same(kind: KeyType) -> None:
    one, other = OPERATING_SYSTEM.key("x", kind), OPERATING_SYSTEM.key("x", kind)
    assert key_type(one) is key_type(other) is kind
    assert one.public_key() != other.public_key()


def test_no_octets_come_twice() -> None:
    assert len({OPERATING_SYSTEM.octets("x", "y", 16) for _ in range(100)}) == 100
    assert len(OPERATING_SYSTEM.octets("x", "y", 7)) == 7


class Same:
    """Says the same octet for ever."""

    repeats = True

    def __init__(self, octet: int) -> None:
        self.octet = octet

    def octets(self, whose: str, purpose: str, count: int) -> bytes:
        assert (whose, purpose) == ("server.a", "serial")
        return bytes([self.octet]) * count

    def key(self, whose: str, kind: KeyType) -> None:
        raise NotImplementedError


@pytest.mark.parametrize("octet", [0x00, 0x7F, 0xFF])
def test_a_serial_is_positive_and_of_20_octets_whatever_is_drawn(octet: int) -> None:
    serial = new_serial(Same(octet), "server.a")
    assert serial.bit_length() == 159
    assert serial == new_serial(Same(octet), "server.a") != new_serial(Same(octet ^ 0x10), "server.a")
