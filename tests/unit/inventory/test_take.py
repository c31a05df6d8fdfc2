"""The inventory is taken of what is really there: certificates, CRLs, the state, and what verify saw."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from scaffold.inventory.model import Applied, CaEntry, Inventory, PartyEntry, Source
from scaffold.inventory.take import take
from scaffold.plan.make import plan_as_it_stands
from scaffold.plan.status import State
from scaffold.store import projects
from scaffold.store.layout import Layout
from scaffold.topology.model import Fault, RevocationCheck, SanType
from scaffold.verify import last_run
from scaffold.verify.last_run import LastRun
from scaffold.verify.model import Probe, Report
from tests.unit.conftest import Household
from tests.unit.revoking import CHECKING, TELLER, revoke, serial
from tests.unit.view.reports import check

NO_RUN = LastRun()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Household:
    """An applied topology that no test changes."""
    household = Household(tmp_path_factory.mktemp("made"), CHECKING)
    household.apply()
    return household


@pytest.fixture
def bank(made: Household, tmp_path: Path) -> Household:
    """The same for one test alone."""
    shutil.copytree(made.folder, tmp_path, dirs_exist_ok=True)
    return Household(tmp_path, CHECKING, made.now)


def taken(household: Household, run: LastRun = NO_RUN) -> Inventory:
    return take(plan_as_it_stands(household.look()), run, household.now)


def party(inventory: Inventory, address: str) -> PartyEntry:
    return next(one for one in inventory.parties if str(one.address) == address)


def ca(inventory: Inventory, address: str) -> CaEntry:
    return next(one for one in inventory.cas if str(one.address) == address)


def test_what_was_never_applied_is_told_from_the_topology(household: Household) -> None:
    household.text = CHECKING.replace("issuing: {issuer: root}", "issuing: {issuer: root, path_length: 0, owner: PKI}")
    found = taken(household)
    assert found.applied is Applied.NEVER
    assert ca(found, "ca.issuing").path_length == 0
    assert ca(found, "ca.issuing").owner == "PKI"
    assert party(found, "server.accounts").worst is State.MISSING
    assert party(found, "server.accounts").until is None
    assert [str(call.caller) for call in party(found, "server.accounts").callers] == ["server.front", "client.teller"]
    assert found.ends == ()
    assert found.verified is None


def test_an_allow_list_that_was_edited_is_drift(bank: Household) -> None:
    assert taken(bank).drift == ()
    file = bank.out / "servers/accounts/tls/allowed.json"
    file.write_text(file.read_text().replace("teller", "stranger"))
    assert [str(change.address) for change in taken(bank).drift] == ["server.accounts.trust"]


def test_what_was_applied_is_told_from_the_certificates(bank: Household) -> None:
    found = taken(bank)
    assert (found.applied, found.pending) == (Applied.WHOLE, {})
    accounts = party(found, "server.accounts")
    assert accounts.certificates[0].names == ("localhost", "spiffe://bank/server/accounts")
    assert accounts.names == ("localhost",)
    assert accounts.certificates[0].key == "ec-p256"
    assert accounts.certificates[0].status.serial == serial(bank, "servers/accounts/tls/cert.pem")
    assert accounts.checking is not None
    assert (accounts.checking.asked, accounts.checking.in_force) == (RevocationCheck.CRL, RevocationCheck.CRL)
    front = party(found, "server.front")
    assert [str(one.status.address) for one in front.certificates] == [
        "server.front.certificate", "server.front.client-certificate",
    ]  # fmt: skip
    assert ca(found, "ca.root").signs == (1, 0)
    assert ca(found, "ca.issuing").signs == (0, 3)
    assert [end.at for end in found.ends] == sorted(end.at for end in found.ends)
    assert {str(end.address) for end in found.ends if end.is_crl} == {
        "ca.root.crl", "ca.issuing.crl", "server.accounts.trust",
    }  # fmt: skip


def test_what_is_half_applied_says_so(bank: Household) -> None:
    (bank.out / "clients/teller/tls/cert.pem").unlink()
    found = taken(bank)
    assert found.applied is Applied.PARTLY
    assert party(found, "client.teller").worst is State.MISSING
    assert party(found, "server.accounts").worst is State.VALID


def test_what_is_behind_says_so_and_what_is_only_due_does_not(bank: Household) -> None:
    bank.later(days=61)
    due = taken(bank)
    assert party(due, "client.teller").worst is State.DUE
    bank.later(days=-61)
    bank.text = CHECKING.replace("names: [localhost], calls", "names: [localhost, front.bank.test], calls")
    found = taken(bank)
    assert found.applied is Applied.BEHIND
    assert found.pending
    assert "renew" not in due.pending


def test_a_lost_ledger_is_said_and_the_rest_reported(bank: Household) -> None:
    revoke(bank, TELLER)
    (bank.out / ".scaffold/ledger.jsonl").unlink()
    found = taken(bank)
    assert found.notes
    assert party(found, "server.accounts").worst is State.VALID
    assert [one.reason for one in found.revoked] == ["keyCompromise"]


def test_what_was_revoked_with_its_end_and_who_refuses_it(bank: Household) -> None:
    was = serial(bank, "clients/teller/tls/cert.pem")
    revoke(bank, TELLER)
    (one,) = taken(bank).revoked
    assert (one.serial, one.reason, one.ca) == (was, "keyCompromise", "issuing")
    assert one.issued is not None
    assert str(one.issued.address) == TELLER
    assert one.reach is not None
    assert [str(refusal.address) for refusal in one.reach.refused_by] == ["server.accounts"]


def test_owners_are_told_apart_and_nobody_comes_last(household: Household) -> None:
    household.text = CHECKING.replace("check_revocation: crl}", "check_revocation: crl, owner: zebra}").replace(
        "teller: {", "teller: {owner: Ant, "
    )
    owners = taken(household).owners
    assert list(owners) == ["Ant", "zebra", None]
    assert [str(one.address) for one in owners["zebra"]] == ["server.accounts"]


def test_constraints_faults_roles_and_external_clients(household: Household) -> None:
    household.text = """
version: 1
name: bank
cas:
  root: {name_constraints: {permitted: {dns: [localhost]}}}
servers:
  accounts: {template: python, listen: "127.0.0.1:8443", names: [localhost]}
clients:
  teller: {template: python, calls: {accounts: [reader]}, fault: expired}
  partner: {external: {issuer: root, identity: "spiffe://bank/partner"}, calls: [accounts], owner: theirs}
"""
    for applied in (False, True):
        if applied:
            household.apply()
        found = taken(household)
        constraints = ca(found, "ca.root").constraints
        assert constraints is not None
        assert constraints.permitted == {SanType.DNS: ("localhost",)}
        (call, other) = found.calls
        assert (call.roles, call.faults, other.faults) == (("reader",), (Fault.EXPIRED,), ())
        partner = party(found, "client.partner")
        assert (partner.source, partner.owner) == (Source.EXTERNAL, "theirs")
        assert (partner.worst, partner.checking) == (None, None)
    assert party(found, "client.teller").worst is State.FAULT


ODD = (Fault.VERSION_1, Fault.NUL_IN_NAME, Fault.UNKNOWN_CRITICAL, Fault.NO_SAN, Fault.ISSUER_NOT_A_CA)


def test_what_is_broken_on_purpose_is_described_all_the_same(household: Household) -> None:
    clients = "".join(
        f"  c{number}: {{template: curl, issuer: issuing, calls: [accounts], fault: {fault}}}\n"
        for number, fault in enumerate(ODD)
    )
    household.text += clients
    household.apply()
    found = taken(household)
    for number, fault in enumerate(ODD):
        broken = party(found, f"client.c{number}")
        assert (broken.fault, broken.worst) == (fault, State.FAULT)
        assert broken.certificates[0].status.serial


def test_whom_a_front_passes_requests_on_to(household: Household) -> None:
    household.text = household.text.replace(
        "clients:",
        '  gateway: {template: nginx, issuer: issuing, listen: "127.0.0.1:9443", names: [localhost],\n'
        "    calls: [accounts], upstream: accounts}\n"
        '  front: {template: nginx, issuer: issuing, listen: "127.0.0.1:9444", names: [localhost],\n'
        '    backend: "http://127.0.0.1:5000"}\nclients:',
    )
    found = taken(household)
    assert [str(party(found, f"server.{name}").passes_on) for name in ("accounts", "gateway", "front")] == [
        "None", "server.accounts", "127.0.0.1:5000",
    ]  # fmt: skip


# What verify saw


def verified(household: Household) -> LastRun:
    layout = Layout(household.out)
    report = Report((check("accounts", "teller", Probe.EDGE),))
    folders = last_run.folders_tried(household.open().topology, layout, projects.load(layout), report)
    return last_run.updated(NO_RUN, report, household.now, folders)


def changed(household: Household, run: LastRun) -> list[str]:
    found = taken(household, run).verified
    assert found is not None
    return [str(address) for address in found.changed]


def test_nothing_has_changed_since_it_was_verified(bank: Household) -> None:
    run = verified(bank)
    assert changed(bank, run) == []
    found = taken(bank, run).verified
    assert found is not None
    assert [str(address) for address in found.unknown] == ["server.front"], "it was not tried"


@pytest.mark.parametrize("path", ["tls/cert.pem", "tls/ca.pem", "run.sh", "tls/allowed.json"])
def test_a_changed_file_is_seen(bank: Household, path: str) -> None:
    run = verified(bank)
    file: Path = bank.out / "servers/accounts" / path
    file.write_bytes(file.read_bytes() + b"\n")
    assert changed(bank, run) == ["server.accounts"]


def test_a_removed_file_is_seen_and_a_link_in_its_place(bank: Household) -> None:
    run = verified(bank)
    file = bank.out / "servers/accounts/run.sh"
    file.rename(file.with_name("elsewhere"))
    assert changed(bank, run) == ["server.accounts"]
    gone = taken(bank, run)
    file.symlink_to("elsewhere")
    assert changed(bank, run) == ["server.accounts"]
    assert gone.verified is not None


@pytest.mark.parametrize("path", ["tls/crl.pem", "notes.txt"])
def test_a_fresh_crl_and_a_file_that_is_nobodys_are_no_change(bank: Household, path: str) -> None:
    run = verified(bank)
    (bank.out / "servers/accounts" / path).write_bytes(b"another")
    assert changed(bank, run) == []


def test_a_renewal_is_a_change(bank: Household) -> None:
    run = verified(bank)
    bank.later(days=61)
    bank.apply()
    assert changed(bank, run) == ["server.accounts", "client.teller"]


def test_a_run_of_an_earlier_version_says_nothing_of_changes(bank: Household) -> None:
    run = replace(verified(bank), folders={})
    assert changed(bank, run) == []
    found = taken(bank, run).verified
    assert found is not None
    assert len(found.unknown) == 3


def test_what_was_seen_at_a_server_that_has_gone_is_left_out(bank: Household) -> None:
    run = last_run.updated(verified(bank), Report((check("gone", "teller", Probe.EDGE),)), bank.now + timedelta(days=1))
    found = taken(bank, run).verified
    assert found is not None
    assert {one.check.server for one in found.seen} == {"accounts"}
