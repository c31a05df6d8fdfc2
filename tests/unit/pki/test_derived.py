"""Keys from a seed: what docs/reproducible.md promises to other programs, computed a second time without a library."""

from __future__ import annotations

import hmac
import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from scaffold.errors import PkiError
from scaffold.pki.derived import _EC, Derived
from scaffold.pki.keys import key_type
from scaffold.topology.model import KeyType

PAGE = (Path(__file__).parents[3] / "docs" / "reproducible.md").read_text("utf-8")
VECTORS = re.findall(r"^\| `(\S+)` \| `key (\S+)` \| `([0-9a-f]+)` \|$", PAGE, re.MULTILINE)
SEED, TOPOLOGY = b"test seed", "lab"
EXTRA = {KeyType.EC_P256: 40, KeyType.EC_P384: 56, KeyType.EC_P521: 74}
RSA = [KeyType.RSA_2048, KeyType.RSA_3072, KeyType.RSA_4096]


def hkdf(seed: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    """RFC 5869 2.2 and 2.3."""
    key, block, made = hmac.digest(salt, seed, "sha256"), b"", b""
    for count in range(1, -(-length // 32) + 1):
        block = hmac.digest(key, block + info + bytes([count]), "sha256")
        made += block
    return made[:length]


def private_value(source: Derived, address: str, kind: KeyType) -> str:
    key = source.key(address, kind)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        octets = (key.key_size + 7) // 8
        return key.private_numbers().private_value.to_bytes(octets).hex()
    return key.private_bytes_raw().hex()


def test_the_page_has_a_vector_of_each_type_that_can_be_derived():
    assert [kind for _, kind, _ in VECTORS] == [kind.value for kind in KeyType if kind not in RSA]


@pytest.mark.parametrize(("address", "kind", "wanted"), VECTORS)
def test_the_vectors_hold_here_and_where_no_library_helps(address, kind, wanted):
    kind = KeyType(kind)
    assert private_value(Derived(SEED, TOPOLOGY), address, kind) == wanted
    octets = hkdf(SEED, TOPOLOGY.encode(), f"{address}\0key {kind}".encode(), EXTRA.get(kind, 32))
    if kind in EXTRA:
        order = _EC[kind][1]
        octets = (int.from_bytes(octets) % (order - 1) + 1).to_bytes((order.bit_length() + 7) // 8)
    assert octets.hex() == wanted


@pytest.mark.parametrize("kind", EXTRA)
def test_the_orders_are_those_of_the_curves(kind):
    curve, order = _EC[kind]
    ec.derive_private_key(order - 1, curve)
    with pytest.raises(ValueError, match="out of range"):
        ec.derive_private_key(order, curve)


@pytest.mark.parametrize("kind", [kind for kind in KeyType if kind not in RSA])
def test_seed_topology_address_and_type_all_count(kind):
    source = Derived(SEED, TOPOLOGY)
    one = private_value(source, "ca.root.certificate", kind)
    assert key_type(source.key("ca.root.certificate", kind)) is kind
    assert one == private_value(Derived(SEED, TOPOLOGY), "ca.root.certificate", kind)
    others = [
        private_value(Derived(b"another", TOPOLOGY), "ca.root.certificate", kind),
        private_value(Derived(SEED, "bal"), "ca.root.certificate", kind),
        private_value(source, "ca.issuing.certificate", kind),
    ]
    assert len({one, *others}) == 4


def test_where_the_address_ends_is_told_from_where_the_purpose_begins():
    source = Derived(SEED, TOPOLOGY)
    assert source.octets("ab", "c", 16) != source.octets("a", "bc", 16)


@pytest.mark.parametrize("kind", RSA)
def test_no_rsa_key_is_derived(kind):
    with pytest.raises(PkiError, match="cannot be derived"):
        Derived(SEED, TOPOLOGY).key("ca.root.certificate", kind)


def test_the_seed_is_not_shown():
    assert "test seed" not in repr(Derived(SEED, TOPOLOGY))
