"""How far a revocation reaches: who refuses, who accepts until when, and of whom it is not known."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from scaffold.pki import crl as crls
from scaffold.plan.intents import Revoke
from scaffold.plan.plan_subset import plan_intents
from scaffold.plan.reach import By, Reach, reaches
from scaffold.plan.status import status
from scaffold.store.layout import Layout
from scaffold.store.ledger import Recorder
from scaffold.topology.address import Address
from tests.unit.revoking import known, release, revoke

MIXED = """
version: 1
name: bank
publish: http://127.0.0.1:9080
cas:
  root: {}
  issuing: {issuer: root, revocation: {crl: 2d, ocsp: 1h}}
defaults: {issuer: issuing}
servers:
  lists: {template: python, names: [lists.internal], listen: "127.0.0.1:8443", check_revocation: crl}
  asks: {template: python, names: [asks.internal], listen: "127.0.0.1:8444", check_revocation: ocsp}
  open: {template: python, names: [open.internal], listen: "127.0.0.1:8445", calls: [lists]}
  quiet: {template: python, names: [quiet.internal], listen: "127.0.0.1:8447"}
  byname: {template: nginx, names: [byname.internal], listen: "127.0.0.1:8446"}
clients:
  web: {template: python, calls: [lists, asks, open]}
  careful: {template: python, calls: [open], check_revocation: crl}
  named: {template: python, calls: [byname, quiet]}
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
    assert by(found)["server.quiet"] is By.ALLOW_LIST
    assert "server.open" in names(found.accepted_by)  # of the servers that it calls it knows names alone
    assert "server.byname" in names(found.accepted_by)
    assert "client.web" in names(found.accepted_by)
    kept = reached(mixed, "ca.issuing", "superseded", replace=False)
    assert "server.quiet" in names(kept.accepted_by)


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
    mixed.text = MIXED.replace("  named: {template: python, calls: [byname, quiet]}\n", "")
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


CALLING = """
version: 1
name: bank
cas:
  root: {}
  issuing: {issuer: root}
defaults: {issuer: issuing}
servers:
  back: {template: python, listen: "127.0.0.1:8443", names: [back.internal, localhost]}
  other: {template: python, listen: "127.0.0.1:8444", names: [localhost]}
  app: {template: python, listen: "127.0.0.1:8445", names: [app.internal], calls: [back], check_revocation: crl}
clients:
  web: {template: python, calls: [back, app]}
  near: {template: python, calls: [other]}
"""


def test_a_server_that_looks_up_its_callees_refuses_a_revoked_one(household):
    household.text = CALLING
    household.apply()
    assert by(reached(household, "server.back")) == {"server.app": By.CRL}


def test_who_checks_its_callers_alone_goes_on_accepting_a_revoked_callee(household, monkeypatch):
    """The twin: of a kind that does not declare it, it is said, and not that the server refuses."""
    household.text = CALLING
    household.apply()
    basis = household.look()
    app = Address.parse("server.app")
    kind = basis.kinds[app]
    narrow = replace(kind, capabilities=replace(kind.capabilities, checks_callees=frozenset()))
    basis = replace(basis, kinds={**basis.kinds, app: narrow})
    planned = plan_intents(basis, [Revoke(Address.parse("server.back"), crls.Reason.KEY_COMPROMISE)])
    (found,) = reaches(planned.plan, basis)
    assert found.refused_by == ()
    assert names(found.callers_only) == ["server.app"]
    assert "server.app" in names(found.accepted_by)


def test_a_revoked_server_is_accepted_by_who_expects_a_name_that_it_has(household):
    """`near` calls `other` alone, by a name that the certificate of `back` has too."""
    household.text = CALLING
    household.apply()
    assert "client.near" in names(reached(household, "server.back").accepted_by)
    household.text = CALLING.replace("[back.internal, localhost]", "[back.internal]")
    household.apply()
    newest = known(household).by_address[Address.parse("server.back.certificate")][-1]
    assert "client.near" not in names(reached(household, "server.back", "superseded", serial=newest.serial).accepted_by)


def test_the_old_certificate_of_a_renamed_server_is_accepted_under_the_name_that_its_successor_has(household):
    household.text = CALLING
    household.apply()
    revoke(household, "server.back", "superseded", replace=False)
    household.text = (
        CALLING.replace("  back: {", "  hinten: {")
        .replace("[back", "[hinten", 1)
        .replace("calls: [back", "calls: [hinten")
        .replace("[hinten.internal, localhost]", "[back.internal]")
    )
    household.apply()
    (one,) = status(household.prepare()).revoked
    assert one.reach is not None
    assert {"client.web", "client.near"} <= set(names(one.reach.accepted_by))
    assert by(one.reach) == {"server.app": By.CRL}


def test_the_old_certificate_of_a_renamed_client_lets_in_who_keeps_its_identity(household):
    text = CALLING.replace("web: {template", 'web: {names: ["spiffe://bank/x"], template')
    household.text = text
    household.apply()
    revoke(household, "client.web", "superseded", replace=False)
    Recorder(Layout(household.out), household.now).renamed(Address.parse("client.web"), Address.parse("client.netz"))
    (household.out / "clients/web").rename(household.out / "clients/netz")
    household.text = text.replace("  web: {", "  netz: {")
    household.apply(overwrite=["client.netz"])
    (one,) = status(household.prepare()).revoked
    assert one.reach is not None
    assert names(one.reach.accepted_by) == ["server.back"]


def test_the_old_certificate_of_a_client_that_left_lets_nobody_in_whose_identity_is_another(household):
    household.text = CALLING.replace("web: {template", 'web: {names: ["spiffe://bank/x"], template')
    household.apply()
    revoke(household, "client.web", "superseded", replace=False)
    household.text = CALLING.replace("  web: {", "  netz: {")
    household.apply()
    (one,) = status(household.prepare()).revoked
    assert one.reach is not None
    assert one.reach.accepted_by == ()


BY_CHAIN = """
version: 1
name: bank
cas:
  root: {}
  issuing: {issuer: root}
defaults: {issuer: issuing}
servers:
  db: {template: files, names: [db.internal], listen: "127.0.0.1:1", accepts: [issuing]}
  log: {template: files, names: [log.internal], listen: "127.0.0.1:2", accepts: [issuing], check_revocation: crl}
  peer: {template: files, names: [peer.internal], listen: "127.0.0.1:3", accepts: [issuing], client: same, calls: [db]}
clients:
  web: {template: python, calls: [peer]}
  unlisted: {template: python}
"""


@pytest.fixture
def by_chain(household):
    household.text = BY_CHAIN
    household.apply()
    return household


def test_who_decides_by_chain_alone_accepts_those_who_are_not_listed_too(by_chain):
    found = reached(by_chain, "client.unlisted")
    assert by(found) == {"server.log": By.CRL}
    assert names(found.accepted_by) == ["server.db", "server.peer"]


def test_one_leaf_for_both_purposes_is_shown_to_callers_and_to_callees(by_chain):
    found = reached(by_chain, "server.peer")
    assert "client.web" in names(found.accepted_by)
    assert "server.db" in names(found.accepted_by)
    assert by(found) == {"server.log": By.CRL}


def test_the_leaf_of_a_server_that_only_serves_lets_it_in_nowhere(by_chain):
    assert names(reached(by_chain, "server.log").accepted_by) == []
