"""Everything that an apply makes up comes from the source that it is given: the same source, the same bytes."""

from __future__ import annotations

from pathlib import Path

from scaffold.apply import apply
from scaffold.pki.derived import Derived
from scaffold.pki.randomness import Randomness
from scaffold.store.secrets import Secrets
from tests.unit.conftest import Household

BANK = """
version: 1
name: bank
publish: http://127.0.0.1:9080
defaults: {key: ec-p256}
cas:
  root: {key_password: {generate: true}, key: ec-p256}
  issuing: {issuer: root, key: ec-p256}
servers:
  accounts: {template: python, issuer: issuing, listen: "127.0.0.1:8443", names: [localhost]}
clients:
  teller: {template: python, issuer: issuing, calls: [accounts]}
  mallory: {template: python, issuer: issuing, calls: [accounts], fault: wrong-ca}
"""


def made(folder: Path, randomness: Randomness, like: Household) -> dict[str, bytes]:
    """Every file that an apply makes."""
    folder.mkdir()
    household = Household(folder, BANK, like.now)
    apply(household.prepare(), Secrets({}), randomness=randomness)
    return household.files() | {"ledger": (household.out / ".scaffold/ledger.jsonl").read_bytes()}


def test_the_same_source_makes_the_same_bytes(tmp_path, household):
    one = made(tmp_path / "one", Derived(b"seed", "bank"), household)
    assert one == made(tmp_path / "two", Derived(b"seed", "bank"), household)
    other = made(tmp_path / "three", Derived(b"another", "bank"), household)
    secret = ("ca.key", "key.pem", "cert.pem", "ca.crt", "crl.pem", "-password", "ledger")
    differing = {path for path, content in one.items() if other[path] != content}
    assert {path for path in one if path.endswith(secret)} <= differing
