"""What is wrong with the certificate with which somebody calls is said in words, with what helps."""

from __future__ import annotations

import pytest

from scaffold.pki import crl as crls
from scaffold.plan.intents import Revoke
from scaffold.plan.plan_subset import plan_intents
from scaffold.running.own_certificate import flaw
from scaffold.topology.address import Address
from tests.unit.conftest import Household

TELLER = "clients/teller/tls/cert.pem"


def said(household: Household) -> str | None:
    project = household.open()
    return flaw(project.layout, project.topology.clients["teller"], household.now)


def test_of_a_certificate_that_is_in_order_nothing_is_said(household: Household) -> None:
    household.apply()
    assert said(household) is None


def test_one_that_has_ended_or_not_begun_is_told_by_its_dates(household: Household) -> None:
    household.apply()
    household.later(days=-30)
    assert "is the clock of this machine right?" in (said(household) or "")
    household.later(days=230)
    ends = household.certificate(TELLER).not_valid_after_utc
    assert said(household) == f"{TELLER} expired on {ends:%Y-%m-%d %H:%M} UTC: `scaffold apply` renews it"


@pytest.mark.parametrize(("fault", "words"), [("expired", "expired on"), ("not-yet-valid", "is not valid before")])
def test_what_is_broken_on_purpose_is_not_to_be_mended(household: Household, fault: str, words: str) -> None:
    household.text = household.text.replace("calls: [accounts]", f"calls: [accounts], fault: {fault}")
    household.apply()
    told = said(household) or ""
    assert told.startswith(f"{TELLER} {words} ")
    assert told.endswith(f": client.teller has `fault: {fault}`")


@pytest.mark.parametrize(
    ("reason", "words", "helps"),
    [
        ("keyCompromise", "was revoked on", "(keyCompromise): `scaffold renew client.teller` makes another"),
        ("certificateHold", "is on hold since", "`scaffold revoke client.teller --release` lifts that"),
    ],
)
def test_a_revocation_is_told_from_the_state(household: Household, reason: str, words: str, helps: str) -> None:
    household.apply()
    intent = Revoke(Address.parse("client.teller"), crls.Reason(reason), replace=False)
    household.carry_out(plan_intents(household.look(), [intent]))
    told = said(household) or ""
    assert words in told
    assert told.endswith(helps)


def test_what_cannot_be_read_is_not_guessed_at(household: Household) -> None:
    assert said(household) is None
    household.apply()
    (household.out / TELLER).write_text("none")
    assert said(household) is None
