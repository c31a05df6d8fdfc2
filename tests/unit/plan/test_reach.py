"""How far a revocation reaches: who refuses, who accepts until when, and of whom it is not known."""

from __future__ import annotations

from datetime import timedelta

import pytest

from scaffold.pki import crl as crls
from scaffold.plan.intents import Revoke
from scaffold.plan.plan_subset import plan_intents
from scaffold.plan.reach import By, Reach, reaches
from scaffold.plan.status import status
from scaffold.topology.address import Address
from tests.unit.revoking import release, revoke

MIXED = """
version: 1
name: bank
publish: http://127.0.0.1:9080
cas:
  root: {}
  issuing: {issuer: root, revocation: {crl: 2d, ocsp: 1h}}
defaults: {issuer: issuing, names: [localhost]}
servers:
  lists: {template: python, listen: "127.0.0.1:8443", check_revocation: crl}
  asks: {template: python, listen: "127.0.0.1:8444", check_revocation: ocsp}
  open: {template: python, listen: "127.0.0.1:8445", calls: [lists]}
  byname: {template: nginx, listen: "127.0.0.1:8446"}
clients:
  web: {template: python, calls: [lists, asks, open]}
  careful: {template: python, calls: [open], check_revocation: crl}
  named: {template: python, calls: [byname]}
"""


@pytest.fixture
def mixed(household):
    household.text = MIXED
    household.apply()
    return household


def reached(household, address: str, reason: str = "keyCompromise", **more) -> Reach:
    intent = Revoke(Address.parse(address), crls.Reason(reason), **more)
    planned = plan_intents(household.look(), [intent])
    (found,) = (one for one in reaches(planned.plan, planned.basis) if str(one.address).startswith(address))
    return found


def by(reach: Reach) -> dict[str, By]:
    return {str(one.address): one.by for one in reach.refused_by}


def names(addresses) -> list[str]:
    return [str(address) for address in addresses]


def test_a_client_is_accepted_by_who_checks_nothing_until_it_expires(mixed):
    found = reached(mixed, "client.web")
    assert by(found) == {"server.lists": By.CRL, "server.asks": By.OCSP}
    assert names(found.accepted_by) == ["server.open"]
    assert found.not_after == mixed.certificate("clients/web/tls/cert.pem").not_valid_after_utc
    crl = crls.load_all((mixed.out / "pki/issuing/crl.pem").read_bytes())[0]
    ends = {one.by: one.believed_until for one in found.refused_by}
    assert ends == {By.CRL: crl.next_update_utc, By.OCSP: mixed.now + timedelta(hours=1)}


def test_who_checks_everywhere_is_accepted_by_nobody(mixed):
    """The twin: with every server checking, nothing is said to go on."""
    mixed.text = MIXED.replace('"127.0.0.1:8445", ', '"127.0.0.1:8445", check_revocation: crl, ')
    mixed.apply()
    assert reached(mixed, "client.web").accepted_by == ()


def test_a_servers_certificate_is_shown_to_its_callers(mixed):
    found = reached(mixed, "server.open.certificate")
    assert by(found) == {"client.careful": By.CRL}
    assert names(found.accepted_by) == ["client.web"]
    calling = reached(mixed, "server.open.client-certificate")
    assert (by(calling), calling.accepted_by) == ({"server.lists": By.CRL}, ())


def test_a_ca_that_is_replaced_is_refused_where_the_allow_list_names_its_key(mixed):
    found = reached(mixed, "ca.issuing", "superseded")
    assert by(found)["server.open"] is By.ALLOW_LIST
    assert "server.byname" in names(found.accepted_by)
    assert "client.web" in names(found.accepted_by)
    kept = reached(mixed, "ca.issuing", "superseded", replace=False)
    assert "server.open" in names(kept.accepted_by)


def test_an_external_caller_is_not_known(mixed):
    text = MIXED.replace("cas:\n", "cas:\n  partner: {}\n") + (
        '  theirs: {external: {issuer: partner, identity: "spiffe://partner/x"}, calls: [open]}\n'
    )
    mixed.text = text
    mixed.apply()
    assert names(reached(mixed, "server.open.certificate").unknown) == ["client.theirs"]


def test_status_lists_what_was_revoked_until_it_ends(mixed):
    assert status(mixed.prepare()).revoked == ()
    revoke(mixed, "client.web")
    (one,) = status(mixed.prepare()).revoked
    assert one.reach is not None
    assert names(one.reach.accepted_by) == ["server.open"]
    mixed.later(days=91)
    (one,) = status(mixed.prepare()).revoked
    assert one.reach is None


def test_a_hold_that_is_lifted_is_accepted_again(mixed):
    revoke(mixed, "client.web", "certificateHold")
    assert len(status(mixed.prepare()).revoked) == 1
    release(mixed, "client.web")
    assert status(mixed.prepare()).revoked == ()


def test_who_left_the_topology_is_let_in_by_nobody(mixed):
    mixed.text = MIXED.replace("  named: {template: python, calls: [byname]}\n", "")
    found = reached(mixed, "client.named")
    assert (found.refused_by, found.accepted_by, found.unknown) == ((), (), ())


def test_a_check_that_is_not_in_force_yet_refuses_nobody(mixed):
    """Its project stands as it was applied, whatever the topology has come to say."""
    mixed.text = mixed.text.replace('8445"', '8445", check_revocation: crl')
    assert '8445", check_revocation' in mixed.text
    before = reached(mixed, "client.web")
    assert "server.open" in names(before.accepted_by)
    assert names(before.behind) == ["server.open"]
    mixed.apply()
    after = reached(mixed, "client.web")
    assert by(after)["server.open"] is By.CRL
    assert after.behind == ()


def test_who_accepts_where_no_answer_can_be_had_is_told_apart(mixed):
    assert [refusal.fails_open for refusal in reached(mixed, "client.web").refused_by] == [False, False]
    mixed.text = MIXED.replace("check_revocation: ocsp", "check_revocation: ocsp, on_unavailable: allow")
    mixed.apply()
    found = {str(refusal.address): refusal.fails_open for refusal in reached(mixed, "client.web").refused_by}
    assert found == {"server.lists": False, "server.asks": True}


def test_an_allow_list_needs_no_answer(mixed):
    mixed.text = MIXED.replace('"127.0.0.1:8445", calls', '"127.0.0.1:8445", on_unavailable: allow, calls')
    assert not any(refusal.fails_open for refusal in reached(mixed, "ca.issuing").refused_by)
