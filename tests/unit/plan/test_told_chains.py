"""The chain that a front tells its app goes with the CAs' certificates: known once they are made, and new with them."""

from __future__ import annotations

import base64

import pytest

from scaffold.pki import bundles
from scaffold.plan.texts import texts
from scaffold.plan.unknown import Unknown
from tests.unit.conftest import Household

SHOP = """
version: 1
name: bank
cas:
  root: {}
  middle: {issuer: root}
  issuing: {issuer: middle, lifetime: 4y}
servers:
  shop:
    template: haproxy
    issuer: issuing
    listen: 127.0.0.1:8443
    names: [localhost]
    backend: unix:/run/app.sock
    forward: [FORWARD]
clients:
  teller: {template: curl, issuer: issuing, calls: [shop]}
"""
CHAINS = "servers/shop/tls/allowed.chains"


@pytest.fixture
def shop(household: Household) -> Household:
    household.text = SHOP.replace("FORWARD", "rfc9440")
    household.apply()
    return household


def told(household: Household) -> str:
    """The value of Client-Cert-Chain of whoever `issuing` has signed."""
    (line,) = [line for line in household.files()[CHAINS].decode().splitlines() if line.startswith("CN%3Dissuing ")]
    return line.partition(" ")[2]


def of(household: Household, *cas: str) -> str:
    certificates = (household.certificate(f"pki/{ca}/ca.crt") for ca in cas)
    return ", ".join(f":{base64.b64encode(bundles.der(one)).decode()}:" for one in certificates)


def test_the_chain_leads_up_to_the_root_and_without_it(shop: Household) -> None:
    assert told(shop) == of(shop, "issuing", "middle")
    assert shop.plan().changes == ()


@pytest.mark.parametrize(
    "change",
    [("lifetime: 4y", "lifetime: 3y"), ("middle: {issuer: root}", "middle: {issuer: root, path_length: 1}")],
    ids=["of the CA itself", "of the one above"],
)
def test_a_new_certificate_above_is_told_once_it_is_made(shop: Household, change: tuple[str, str]) -> None:
    before = told(shop)
    shop.text = shop.text.replace(*change)
    after = {text.path: text.after for text in texts(shop.prepare())}
    assert after[CHAINS] is Unknown.AFTER_APPLY
    shop.apply()
    assert told(shop) == of(shop, "issuing", "middle") != before
    assert shop.plan().changes == ()


def test_what_is_not_told_is_not_awaited(household: Household) -> None:
    household.text = SHOP.replace("FORWARD", "x-client")
    household.apply()
    household.text = household.text.replace("lifetime: 4y", "lifetime: 3y")
    assert CHAINS not in household.files()
    assert not [text for text in texts(household.prepare()) if "allowed." in text.path]
