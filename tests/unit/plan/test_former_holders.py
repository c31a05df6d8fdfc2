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


# --- A server that sees no issuer ------------------------------------------------------------------------------------


def with_clients(template: str, cas: str, clients: str) -> str:
    """The bank with CAs more, and other clients."""
    text, _, _ = BANK.format(template=template, check="none").partition("clients:")
    return text.replace("servers:", f"{cas}servers:") + f"clients:\n{clients}"


def after_a_branch_left(household: Household, template: str, client: str) -> None:
    """Its `web` was issued by a second CA under the root, which then left; another client bears the name and calls."""
    branch = "  branch: {issuer: root}\n"
    household.text = with_clients("python", branch, "  web: {template: python, issuer: branch}\n")
    household.apply()
    partner = f"  partner: {{template: {client}, issuer: issuing, subject: {{common_name: web}}, calls: [desk]}}\n"
    household.text = with_clients(template, "", partner)


def test_what_a_ca_that_left_has_issued_passes_for_the_only_ca_s_where_no_issuer_is_seen(household: Household) -> None:
    after_a_branch_left(household, "postgresql", "psql")
    with pytest.raises(TopologyError, match=r"would take client\.web for client\.partner"):
        household.plan()
    household.later(days=91)
    household.apply()


def test_where_the_issuer_is_seen_it_does_not(household: Household) -> None:
    after_a_branch_left(household, "nginx", "python")
    household.apply()


def test_what_another_root_vouches_for_is_told_apart(household: Household) -> None:
    other = "  other: {}\n  elsewhere: {issuer: other}\n"
    web = "  web: {template: psql, issuer: issuing, calls: [desk]}\n"
    former = "  former: {template: psql, issuer: elsewhere, subject: {common_name: web}}\n"
    household.text = with_clients("postgresql", other, web + former)
    household.apply()
    household.text = with_clients("postgresql", other, web)
    household.apply()


# --- CAs that changed under their certificates --------------------------------------------------------------------


NAMED = "issuing: {issuer: root, subject: {common_name: Issuing}, revocation: {crl: 1d}}"


def rename_the_entity(household: Household) -> None:
    """The CA keeps its subject, and gets another name in the topology."""
    household.text = household.text.replace("issuing: {", "successor: {").replace(
        "issuer: issuing", "issuer: successor"
    )


def named_bank(household: Household, template: str) -> Household:
    household.text = BANK.format(template=template, check="none").replace(
        "issuing: {issuer: root, revocation: {crl: 1d}}", NAMED
    )
    household.apply()
    return household


def test_a_ca_that_is_called_otherwise_and_bears_the_same_name_is_no_other_ca(household: Household) -> None:
    named_bank(household, "nginx")
    rename_the_entity(household)
    household.text = household.text.replace(
        "  web: {template: python, issuer: successor, calls: [desk]}", PARTNER.replace("issuing", "successor")
    )
    with pytest.raises(TopologyError, match=r"would take client\.web for client\.partner") as caught:
        household.plan()
    assert "another common_name" in (caught.value.hint or "")
