"""Keys, serials and passwords derived from a seed: the same to whoever knows it, on any machine and on any day.

    octets(address, purpose, n) = HKDF-SHA-256(IKM = seed, salt = topology's name, info = address 00 purpose, L = n)

as RFC 5869 has it; all texts are UTF-8, and 00 is one zero octet. A key of the type T is made of the octets for the
purpose `key T`: of EC by extra random bits (FIPS 186-5 A.2.1), of Ed25519 and ML-DSA as the seed that RFC 8032 5.1.5
and FIPS 204 6.1 begin with. docs/reproducible.md says more, with test vectors.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from scaffold.errors import PkiError
from scaffold.pki.keys import PrivateKey
from scaffold.topology.model import KeyType

_EXTRA_OCTETS: Final = 8
"""64 bits more than the order has make the bias of the remainder too small to matter (FIPS 186-5 A.2.1)."""

_SEED_OCTETS: Final = 32

_EC: Final[dict[KeyType, tuple[ec.EllipticCurve, int]]] = {
    KeyType.EC_P256: (ec.SECP256R1(), 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551),
    KeyType.EC_P384: (
        ec.SECP384R1(),
        0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
    ),
    KeyType.EC_P521: (
        ec.SECP521R1(),
        (1 << 521) - (6 << 256) + 0x51868783BF2F966B7FCC0148F709A5D03BB5C9B8899C47AEBB6FB71E91386409,
    ),
}
"""Each curve with the order of its base point (SP 800-186 3.2.1)."""


@dataclass(frozen=True, slots=True)
class Derived:
    """A source that makes nothing up. `seed` is secret: whoever knows it has every key."""

    seed: bytes = field(repr=False)
    topology: str

    @property
    def repeats(self) -> bool:
        """As the port says."""
        return True

    def octets(self, whose: str, purpose: str, count: int) -> bytes:
        """As the port says."""
        info = whose.encode() + b"\0" + purpose.encode()
        return HKDF(SHA256(), count, self.topology.encode(), info).derive(self.seed)

    def key(self, whose: str, kind: KeyType) -> PrivateKey:
        """As the port says. Raises PkiError for RSA, whose primes are found by search."""
        purpose = f"key {kind}"
        if kind in _EC:
            curve, order = _EC[kind]
            drawn = int.from_bytes(self.octets(whose, purpose, (order.bit_length() + 7) // 8 + _EXTRA_OCTETS))
            return ec.derive_private_key(drawn % (order - 1) + 1, curve)
        match kind:
            case KeyType.ED25519:
                return ed25519.Ed25519PrivateKey.from_private_bytes(self.octets(whose, purpose, _SEED_OCTETS))
            case KeyType.ML_DSA_44:
                return mldsa.MLDSA44PrivateKey.from_seed_bytes(self.octets(whose, purpose, _SEED_OCTETS))
            case KeyType.ML_DSA_65:
                return mldsa.MLDSA65PrivateKey.from_seed_bytes(self.octets(whose, purpose, _SEED_OCTETS))
            case KeyType.ML_DSA_87:
                return mldsa.MLDSA87PrivateKey.from_seed_bytes(self.octets(whose, purpose, _SEED_OCTETS))
            case _:
                raise PkiError(f"an {kind} key cannot be derived from a seed")
