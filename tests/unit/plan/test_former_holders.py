"""A certificate from before passes for nobody else's, at servers that see names alone."""

from __future__ import annotations

import pytest

from scaffold.errors import TopologyError
from tests.unit.conftest import Household
from tests.unit.revoking import revoke

BANK = """
version: 1
name: bank
publish: http://127.0.0.1:9080
cas:
  root: {{}}
  issuing: {{issuer: root, revocation: {{crl: 1d}}}}
servers:
  desk: {{template: {template}, issuer: issuing, listen: "127.0.0.1:8443", names: [desk.internal],
    check_revocation: {check}}}
clients:
  web: {{template: python, issuer: issuing, calls: [desk]}}
"""
PARTNER = "  partner: {template: python, issuer: issuing, subject: {common_name: web}, calls: [desk]}"


def bank(household: Household, template: str = "nginx", check: str = "none") -> Household:
    household.text = BANK.format(template=template, check=check)
    household.apply()
    return household


def partner_takes_over(household: Household) -> None:
    household.text = household.text.replace("  web: {template: python, issuer: issuing, calls: [desk]}", PARTNER)


def test_who_takes_over_the_name_of_a_valid_certificate_is_refused(household: Household) -> None:
    partner_takes_over(bank(household))
    with pytest.raises(TopologyError, match=r"would take client\.web for client\.partner") as caught:
        household.plan()
    assert caught.value.hint is not None
    assert "another common_name" in caught.value.hint


def test_once_it_has_ended_the_name_is_free(household: Household) -> None:
    partner_takes_over(bank(household))
    household.later(days=91)
    household.apply()


def test_a_server_that_sees_keys_and_identities_tells_them_apart(household: Household) -> None:
    partner_takes_over(bank(household, template="python"))
    household.apply()


def test_a_revoked_one_is_nobody_where_that_is_checked(household: Household) -> None:
    bank(household, check="crl")
    revoke(household, "client.web", "cessationOfOperation", replace=False)
    partner_takes_over(household)
    household.apply()


def test_a_revoked_one_is_somebody_where_that_is_not_checked(household: Household) -> None:
    bank(household)
    revoke(household, "client.web", "cessationOfOperation", replace=False)
    partner_takes_over(household)
    with pytest.raises(TopologyError, match=r"would take client\.web"):
        household.plan()
