"""Keys and serials for tests, which nobody has seen before."""

from __future__ import annotations

import functools

from scaffold.pki import issue, keys
from scaffold.pki.keys import PrivateKey
from scaffold.pki.randomness import OPERATING_SYSTEM
from scaffold.topology.model import KeyType


def new_key(kind: KeyType) -> PrivateKey:
    """A private key."""
    return OPERATING_SYSTEM.key("a test", kind)


def new_serial() -> int:
    """A certificate's serial."""
    return issue.new_serial(OPERATING_SYSTEM, "a test")


def encrypted_pem(key: PrivateKey, password: bytes) -> bytes:
    """A private key as encrypted PKCS#8."""
    return keys.to_encrypted_pem(key, password, functools.partial(OPERATING_SYSTEM.octets, "a test"))
