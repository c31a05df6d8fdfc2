"""Everything that an apply makes up comes from the source that it is given: the same source, the same bytes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from scaffold.apply import apply
from scaffold.pki.keys import PrivateKey
from scaffold.pki.randomness import Randomness
from scaffold.store.secrets import Secrets
from scaffold.topology.model import KeyType
from tests.unit.conftest import Household

BANK = """
version: 1
name: bank
publish: http://127.0.0.1:9080
defaults: {key: ed25519}
cas:
  root: {key_password: {generate: true}, key: ed25519}
  issuing: {issuer: root, key: ed25519}
servers:
  accounts: {template: python, issuer: issuing, listen: "127.0.0.1:8443", names: [localhost]}
clients:
  teller: {template: python, issuer: issuing, calls: [accounts]}
  mallory: {template: python, issuer: issuing, calls: [accounts], fault: wrong-ca}
"""


@dataclass(frozen=True)
class Seeded:
    """Derives all of it from a seed."""

    seed: bytes

    def octets(self, whose: str, purpose: str, count: int) -> bytes:
        return HKDF(SHA256(), count, None, f"{whose}\0{purpose}".encode()).derive(self.seed)

    def key(self, whose: str, kind: KeyType) -> PrivateKey:
        return ed25519.Ed25519PrivateKey.from_private_bytes(self.octets(whose, "key", 32))


def made(folder: Path, randomness: Randomness, like: Household) -> dict[str, bytes]:
    """Every file that an apply makes."""
    folder.mkdir()
    household = Household(folder, BANK, like.now)
    apply(household.prepare(), Secrets({}), randomness=randomness)
    return household.files() | {"ledger": (household.out / ".scaffold/ledger.jsonl").read_bytes()}


def test_the_same_source_makes_the_same_bytes(tmp_path, household):
    one = made(tmp_path / "one", Seeded(b"seed"), household)
    assert one == made(tmp_path / "two", Seeded(b"seed"), household)
    other = made(tmp_path / "three", Seeded(b"another"), household)
    secret = ("ca.key", "key.pem", "cert.pem", "ca.crt", "crl.pem", "-password", "ledger")
    differing = {path for path, content in one.items() if other[path] != content}
    assert {path for path in one if path.endswith(secret)} <= differing
