"""What guards in the built-in templates is scaffold's: an edit of it is drift, put right and kept beside."""

from __future__ import annotations

import pytest

from scaffold.kinds.capabilities import Owner
from scaffold.kinds.catalogue import Kind
from scaffold.plan.drift import drift_in_tls
from scaffold.plan.model import Action
from tests.golden.cases import builtin_kinds
from tests.unit.conftest import Household

SHOP = """
version: 1
name: bank
publish: http://127.0.0.1:9080
cas:
  root: {}
  issuing: {issuer: root}
servers:
  accounts: {template: nginx, issuer: issuing, listen: "127.0.0.1:8443", names: [localhost], check_revocation: crl}
clients:
  teller: {template: python, issuer: issuing, calls: [accounts], check_revocation: crl}
  window: {template: dotnet, issuer: issuing, calls: [accounts], check_revocation: crl}
"""

WEAKENED = [
    ("clients/teller/calling.py", "if not tls.is_for_servers(", "if False and not tls.is_for_servers("),
    ("clients/teller/refresh.sh", "grep -q '^verify OK$'", "true"),
    ("servers/accounts/refresh.sh", "grep -q '^verify OK$'", "true"),
    ("clients/window/mutual-tls.json", '"Revocation": "crl"', '"Revocation": "none"'),
    ("clients/teller/tls/policy.json", '"accounts": "localhost"', '"accounts": "other"'),
]


@pytest.fixture
def shop(household: Household) -> Household:
    household.text = SHOP
    household.apply()
    return household


@pytest.mark.parametrize(("path", "guard", "nothing"), WEAKENED)
def test_a_guard_that_was_taken_away_is_named_and_put_right(
    shop: Household, path: str, guard: str, nothing: str
) -> None:
    file = shop.out / path
    sound = file.read_text()
    weakened = sound.replace(guard, nothing)
    assert weakened != sound
    file.write_text(weakened)
    (change,) = shop.plan().changes
    assert change.action is Action.UPDATE
    assert path in change.paths
    assert list(drift_in_tls(shop.plan())) == [change]
    shop.apply()
    assert file.read_text() == sound


def test_what_is_done_with_an_answer_is_the_persons_and_kept(shop: Household) -> None:
    for path in ("clients/teller/client.py", "clients/window/Program.cs"):
        file = shop.out / path
        file.write_text(f"{file.read_text()}\n")
        edited = file.read_text()
        assert shop.plan().changes == ()
        shop.text = shop.text.replace("[localhost]", "[localhost, bank.internal]")
        shop.apply()
        assert file.read_text() == edited


@pytest.mark.parametrize("kind", builtin_kinds(), ids=lambda kind: f"{kind.role}-{kind.name}")
def test_nobody_merges_what_fetches_crls(kind: Kind) -> None:
    """A script that takes a list without looking at its signature would let back in whoever was revoked."""
    assert kind.capabilities.owner_of("refresh.sh") is Owner.SCAFFOLD
    assert kind.capabilities.owner_of("refresh.timer.example") is not Owner.YOURS
