"""Where keys, serials, salts and passwords come from: one source, passed in like the time.

Each request says for whom and for what, so that a source can derive its answer from a seed: HKDF-SHA-256 with both as
`info` gives the same to whoever asks the same, and nothing that tells one answer from another. The operating system's
ignores them. Nothing else in the program may make anything up.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, rsa

from scaffold.pki.keys import PrivateKey
from scaffold.topology.model import KeyType

_RSA_BITS: Final = {KeyType.RSA_2048: 2048, KeyType.RSA_3072: 3072, KeyType.RSA_4096: 4096}
_GENERATORS: Final[Mapping[KeyType, Callable[[], PrivateKey]]] = {
    KeyType.EC_P256: lambda: ec.generate_private_key(ec.SECP256R1()),
    KeyType.EC_P384: lambda: ec.generate_private_key(ec.SECP384R1()),
    KeyType.EC_P521: lambda: ec.generate_private_key(ec.SECP521R1()),
    KeyType.ED25519: ed25519.Ed25519PrivateKey.generate,
    KeyType.ML_DSA_44: mldsa.MLDSA44PrivateKey.generate,
    KeyType.ML_DSA_65: mldsa.MLDSA65PrivateKey.generate,
    KeyType.ML_DSA_87: mldsa.MLDSA87PrivateKey.generate,
}


class Randomness(Protocol):
    """A source. `whose` is the address of what is made, or says what it is. May be used by several threads."""

    @property
    def repeats(self) -> bool:
        """Whether it answers the same to whoever asks the same."""

    def octets(self, whose: str, purpose: str, count: int) -> bytes:
        """So many octets that nobody can guess."""

    def key(self, whose: str, kind: KeyType) -> PrivateKey:
        """A new private key. RSA takes up to a second, and releases the interpreter lock meanwhile."""


@dataclass(frozen=True, slots=True)
class OperatingSystem:
    """The operating system's own source: no answer comes twice."""

    @property
    def repeats(self) -> bool:
        """As the port says."""
        return False

    def octets(self, whose: str, purpose: str, count: int) -> bytes:
        """As the port says."""
        return os.urandom(count)

    def key(self, whose: str, kind: KeyType) -> PrivateKey:
        """As the port says."""
        if (bits := _RSA_BITS.get(kind)) is not None:
            return rsa.generate_private_key(public_exponent=65537, key_size=bits)
        return _GENERATORS[kind]()


def weak_key() -> rsa.RSAPrivateKey:
    """An RSA key that is too short for any use but to be refused: 1,024 bits."""
    return rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505


OPERATING_SYSTEM: Final[Randomness] = OperatingSystem()
"""What everything takes where nothing else is said."""
