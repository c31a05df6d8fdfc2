"""What a CA's former key signs passes for nothing of today's, at servers that see no issuer's key."""

from __future__ import annotations

import shutil
from datetime import datetime, timedelta

import pytest

from scaffold.errors import TopologyError
from scaffold.plan.former_cas import look
from scaffold.plan.plan_subset import plan_due
from tests.unit.adopting import Spec, make
from tests.unit.conftest import Household
from tests.unit.revoking import revoke

BANK = """
version: 1
name: bank
publish: http://127.0.0.1:9080
cas:
  root: {{}}
  issuing: {{issuer: root}}
servers:
  desk: {{template: {template}, issuer: issuing, listen: "127.0.0.1:8443", names: [desk.internal],
    check_revocation: {check}}}
clients:
  web: {{template: {client}, issuer: issuing, calls: [desk]}}
"""

BY_NAME = [("nginx", "python"), ("haproxy", "python"), ("postgresql", "psql")]


def bank(household: Household, template: str = "nginx", check: str = "none", client: str = "python") -> Household:
    household.text = BANK.format(template=template, check=check, client=client)
    household.apply()
    return household


def lose(household: Household, *folders: str) -> None:
    for folder in folders:
        shutil.rmtree(household.out / folder)


def replace(household: Household, before: str, after: str) -> None:
    assert before in household.text
    household.text = household.text.replace(before, after)


def refused(household: Household) -> TopologyError:
    with pytest.raises(
        TopologyError, match=r"server\.desk .* would let in callers with a certificate by a former"
    ) as it:
        household.plan()
    return it.value


@pytest.mark.parametrize(("template", "client"), BY_NAME)
def test_a_ca_with_another_key_is_refused_where_its_key_is_not_seen(
    template: str, client: str, household: Household
) -> None:
    bank(household, template, client=client)
    lose(household, "pki/issuing")
    error = refused(household)
    assert "ca.issuing" in error.message
    assert "check_revocation: crl" in (error.hint or "")
    assert "backup" in (error.hint or "")
    assert ("common_name" in (error.hint or "")) is (template != "postgresql")


def test_another_type_of_key_is_another_key(household: Household) -> None:
    bank(household)
    replace(household, "issuing: {issuer: root}", "issuing: {issuer: root, key: ec-p384}")
    refused(household)


def test_where_keys_are_seen_it_is_told_apart(household: Household) -> None:
    bank(household, "python")
    lose(household, "pki/issuing")
    household.apply()
    assert household.plan().changes == ()


@pytest.mark.parametrize(("template", "client"), BY_NAME)
def test_a_check_of_crls_is_a_way_out(template: str, client: str, household: Household) -> None:
    bank(household, template, client=client)
    lose(household, "pki/issuing")
    replace(household, "check_revocation: none", "check_revocation: crl")
    household.apply()
    assert household.plan().changes == ()
    replace(household, "check_revocation: crl", "check_revocation: none")
    refused(household)


def test_another_name_is_a_way_out_until_the_old_one_comes_back(household: Household) -> None:
    bank(household)
    lose(household, "pki/issuing")
    replace(household, "issuing: {issuer: root}", "issuing: {issuer: root, subject: {common_name: Second}}")
    household.apply()
    assert household.plan().changes == ()
    replace(household, ", subject: {common_name: Second}", "")
    refused(household)


def test_another_name_is_none_where_no_issuer_is_seen(household: Household) -> None:
    bank(household, "postgresql", client="psql")
    lose(household, "pki/issuing")
    replace(household, "issuing: {issuer: root}", "issuing: {issuer: root, subject: {common_name: Second}}")
    refused(household)


def test_another_name_over_the_same_key_is_the_same_ca(household: Household) -> None:
    bank(household, "postgresql", client="psql")
    replace(household, "issuing: {issuer: root}", "issuing: {issuer: root, subject: {common_name: Second}}")
    household.apply()


def test_a_ca_that_was_removed_and_comes_back_is_another(household: Household) -> None:
    bank(household)
    before = household.text
    replace(household, "  issuing: {issuer: root}\n", "")
    replace(household, "issuer: issuing", "issuer: root")
    household.apply()
    household.text = before
    refused(household)


def test_under_another_root_it_is_trusted_by_nobody(household: Household) -> None:
    bank(household)
    lose(household, "pki/root", "pki/issuing")
    household.apply()
    assert household.plan().changes == ()


def test_a_new_root_over_the_same_issuing_key_is_no_former_ca(household: Household) -> None:
    bank(household)
    lose(household, "pki/root")
    household.apply()
    assert household.plan().changes == ()


def test_a_ca_between_is_one_too(household: Household) -> None:
    household.text = BANK.format(template="nginx", check="none", client="python").replace(
        "issuing: {issuer: root}", "middle: {issuer: root}\n  issuing: {issuer: middle}"
    )
    household.apply()
    lose(household, "pki/middle")
    assert "ca.middle" in refused(household).message


def test_once_its_certificate_has_ended_the_former_one_is_gone(household: Household) -> None:
    bank(household, check="crl")
    lose(household, "pki/issuing")
    household.apply()
    replace(household, "check_revocation: crl", "check_revocation: none")
    refused(household)
    ends = max(
        one.not_after for one in household.look().observed.ledger.issued.values() if one.address.name == "issuing"
    )
    household.now = ends
    household.apply()
    household.plan()


def test_a_lost_ledger_leaves_what_lies_in_the_folder(household: Household) -> None:
    bank(household)
    lose(household, "pki/issuing", ".scaffold")
    refused(household)


def test_a_renewal_of_the_same_key_leaves_no_former_ca(household: Household) -> None:
    bank(household)
    household.later(days=365 * 4)
    household.apply()
    assert household.plan().changes == ()


def test_what_is_due_is_renewed_whatever_is_refused(household: Household) -> None:
    bank(household)
    lose(household, "pki/issuing")
    plan_due(household.look())


def test_who_checks_nothing_is_told_to_believe_the_servers_of_before(household: Household) -> None:
    bank(household, "python")
    lose(household, "pki/issuing")
    notes = [str(note) for note in household.plan().notes]
    assert [note for note in notes if "accept servers certified by the former" in note and "client.web" in note]
    household.apply()
    assert not any("accept servers" in str(note) for note in household.plan().notes)


def test_of_one_that_was_revoked_it_is_said_who_goes_on_accepting_it(household: Household) -> None:
    bank(household)
    revoke(household, "ca.issuing", "cACompromise")
    (note,) = (str(note) for note in household.plan().notes if "still lets in" in str(note))
    assert "server.desk" in note
    assert "check_revocation: crl" in note
    replace(household, "check_revocation: none", "check_revocation: crl")
    assert not any("still lets in" in str(note) for note in household.plan().notes)


# --- CAs that were made elsewhere, and that have issued nothing here ----------------------------------------------

TRUSTED = """
version: 1
name: bank
cas:
  root: {}
  partner: {existing: {certificate: ca.pem, chain: chain.pem}}
servers:
  desk: {template: nginx, issuer: root, listen: "127.0.0.1:8443", names: [desk.internal], check_revocation: none}
clients:
  web: {external: {issuer: partner, identity: "subject:CN=web"}, calls: [desk]}
"""
THEIR_ROOT = make(Spec("Partner Root", index=1))


def bring(household: Household, index: int, subject: str = "Partner CA") -> None:
    """An issuing CA below the partner's root, by that key."""
    ca = make(Spec(subject, index=index), THEIR_ROOT)
    (household.folder / "ca.pem").write_bytes(ca.pem)
    (household.folder / "chain.pem").write_bytes(THEIR_ROOT.pem)


@pytest.fixture
def trusting(household: Household) -> Household:
    household.text = TRUSTED
    bring(household, 2)
    household.apply()
    assert household.plan().changes == ()
    return household


def test_an_adopted_ca_that_comes_again_with_another_key_is_seen(trusting: Household) -> None:
    bring(trusting, 3)
    error = refused(trusting)
    assert "by a former key of ca.partner, which is certified until" in error.message
    assert "check_revocation: crl" in (error.hint or "")


def test_it_is_seen_by_what_lies_in_a_folder_from_before(trusting: Household) -> None:
    ledger = trusting.out / ".scaffold/ledger.jsonl"
    ledger.write_text("".join(line for line in ledger.open() if '"adopted"' not in line))
    assert trusting.plan().changes == ()
    bring(trusting, 3)
    refused(trusting)


def test_it_is_remembered_when_the_other_has_taken_its_place(trusting: Household) -> None:
    ledger = trusting.out / ".scaffold/ledger.jsonl"
    ledger.write_text("".join(line for line in ledger.open() if '"adopted"' not in line))
    bring(trusting, 3)
    replace(trusting, "template: nginx", "template: python")
    replace(trusting, "subject:CN=web", "dns:web.example")
    trusting.apply()
    replace(trusting, "template: python", "template: nginx")
    replace(trusting, "dns:web.example", "subject:CN=web")
    refused(trusting)


def test_the_same_key_and_another_name_are_no_former_ca(trusting: Household) -> None:
    bring(trusting, 2)
    trusting.apply()
    bring(trusting, 4, "Another CA")
    trusting.apply()
    assert trusting.plan().changes == ()


def test_once_it_has_ended_nobody_mistakes_it(trusting: Household) -> None:
    ends = max(one.not_after for one in trusting.look().ledger.adopted)
    bring(trusting, 3)
    refused(trusting)

    def known(now: datetime) -> list[str]:
        found = look(trusting.open().topology, {}, (), trusting.look().ledger, now)
        return [former.ca for former in found.known]

    assert known(ends - timedelta(seconds=1)) == ["root", "partner"]
    assert known(ends) == ["root"]
