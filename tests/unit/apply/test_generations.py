"""A CA with two keys at a time, as each phase of its rotation wants them, planned and made as any other folder is."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from scaffold.apply import apply
from scaffold.pki import bundles, chains, keys
from scaffold.pki import crl as crls
from scaffold.plan.basis import Basis
from scaffold.plan.intents import Revoke
from scaffold.plan.make import Planned, look, plan_all
from scaffold.plan.next_deadline import next_due
from scaffold.plan.plan_subset import plan_due, plan_intents
from scaffold.plan.reach import reaches
from scaffold.plan.status import status
from scaffold.store import ledger
from scaffold.store.layout import Layout, ca_paths
from scaffold.store.secrets import Secrets
from scaffold.topology.address import Address, Role
from scaffold.topology.generations import Generations, GenerationState, States
from tests.unit.conftest import BANK, Household

CHECKING = BANK.replace("names: [localhost]}", "names: [localhost], check_revocation: crl}").replace(
    "name: bank\n", "name: bank\npublish: http://127.0.0.1:9080\n"
)
ISSUING, TRUSTED = GenerationState.ISSUING, GenerationState.TRUSTED
UPCOMING, RETIRED = GenerationState.UPCOMING, GenerationState.RETIRED

INTRODUCED: States = {1: ISSUING, 2: UPCOMING}
SWITCHED: States = {1: TRUSTED, 2: ISSUING}
OVER: States = {1: RETIRED, 2: ISSUING}


@pytest.fixture
def bank(household: Household) -> Household:
    household.text = CHECKING
    household.apply()
    return household


def looked(bank: Household, ca: str, states: States) -> Basis:
    project = bank.open()
    generations = Generations({ca: states})
    return look(project.topology, project.kinds, project.layout, bank.now, generations=generations)


def planned(bank: Household, ca: str, states: States) -> Planned:
    return plan_all(looked(bank, ca, states))


def carried_out(bank: Household, ca: str, states: States) -> set[str]:
    """The addresses of what was done; nothing is left to do after it."""
    plan = planned(bank, ca, states)
    apply(plan, Secrets())
    assert planned(bank, ca, states).plan.changes == ()
    return {str(change.address) for change in plan.plan.changes}


def subjects(bank: Household, path: str) -> list[str]:
    return [_cn(one.subject.rfc4514_string()) for one in bundles.load_certificates((bank.out / path).read_bytes())]


def crl_issuers(bank: Household, path: str = "servers/accounts/tls/crl.pem") -> list[str]:
    return [_cn(one.issuer.rfc4514_string()) for one in crls.load_all((bank.out / path).read_bytes())]


def allowed(bank: Household) -> list[tuple[str, str]]:
    entries = json.loads((bank.out / "servers/accounts/tls/allowed.json").read_text())["allowed"]
    return [(entry["name"], entry["issuer_spki_sha256"]) for entry in entries]


def _cn(name: str) -> str:
    return name.partition("CN=")[2].partition(",")[0]


def key_of(bank: Household, generation: int) -> str:
    return keys.spki_sha256(bank.certificate(ca_paths("issuing", generation).certificate))


def test_an_introduced_generation_is_trusted_and_issues_nothing(bank):
    before = bank.files()
    done = carried_out(bank, "issuing", INTRODUCED)
    assert done == {"ca.issuing@2.certificate", "ca.issuing@2.crl", "server.accounts.trust", "client.teller.trust"}
    leaf = "servers/accounts/tls/cert.pem"
    assert bank.files()[leaf] == before[leaf]
    assert subjects(bank, "servers/accounts/tls/intermediates.pem") == ["issuing", "issuing G2"]
    assert crl_issuers(bank) == ["issuing", "issuing G2", "root"]
    assert allowed(bank) == [("teller", key_of(bank, 1)), ("teller", key_of(bank, 2))]


def test_what_stands_of_the_first_generation_does_not_move(bank):
    before = bank.files()
    carried_out(bank, "issuing", INTRODUCED)
    carried_out(bank, "issuing", SWITCHED)
    of_first = {path: text for path, text in before.items() if path.startswith("pki/")}
    assert of_first.items() <= bank.files().items()
    assert subjects(bank, "pki/issuing/2/chain.pem") == ["issuing G2", "root"]
    assert (bank.out / "pki/issuing/2/ca.key").stat().st_mode & 0o777 == 0o600


def test_after_the_switch_the_new_generation_issues_and_both_are_trusted(bank):
    carried_out(bank, "issuing", INTRODUCED)
    done = carried_out(bank, "issuing", SWITCHED)
    assert done == {"server.accounts.certificate", "client.teller.certificate"}
    for party in ("servers/accounts", "clients/teller"):
        leaf, *sent = bundles.load_certificates((bank.out / party / "tls/cert.pem").read_bytes())
        assert [chains.signed_by(leaf, bank.certificate("pki/issuing/2/ca.crt")), len(sent)] == [True, 1]
    assert subjects(bank, "servers/accounts/tls/cert.pem")[1:] == ["issuing G2"]
    assert allowed(bank) == [("teller", key_of(bank, 1)), ("teller", key_of(bank, 2))]
    recorded = ledger.load(Layout(bank.out)).by_address[Address.parse("client.teller.certificate")][-1]
    assert (recorded.ca, recorded.issuer_key) == ("issuing", key_of(bank, 2))


def test_what_a_generation_signed_is_revoked_on_its_own_crl(bank):
    carried_out(bank, "issuing", INTRODUCED)
    first = ledger.load(Layout(bank.out)).by_address[Address.parse("client.teller.certificate")][-1]
    carried_out(bank, "issuing", SWITCHED)
    basis = looked(bank, "issuing", SWITCHED)
    asked = Revoke(Address.parse("client.teller"), crls.Reason.SUPERSEDED, serial=first.serial)
    apply(plan_intents(basis, [asked]), Secrets())
    paths = ("pki/issuing/crl.pem", "pki/issuing/2/crl.pem")
    lists = {path: crls.load((bank.out / path).read_bytes()) for path in paths}
    listed = {path: [f"{entry.serial:x}" for entry in crls.entries(one)] for path, one in lists.items()}
    assert listed == {"pki/issuing/crl.pem": [first.serial], "pki/issuing/2/crl.pem": []}
    assert planned(bank, "issuing", SWITCHED).plan.changes == ()


def test_a_revocation_may_be_learnt_as_late_as_the_last_crl_ends(bank):
    bank.later(hours=3)
    carried_out(bank, "issuing", INTRODUCED)
    carried_out(bank, "issuing", SWITCHED)
    basis = looked(bank, "issuing", SWITCHED)
    plan = plan_intents(basis, [Revoke(Address.parse("client.teller"), crls.Reason.SUPERSEDED)]).plan
    lists = [crls.load((bank.out / path).read_bytes()) for path in ("pki/issuing/crl.pem", "pki/issuing/2/crl.pem")]
    assert lists[0].next_update_utc < lists[1].next_update_utc
    found = reaches(plan, basis)
    assert len(found) == 2, "one certificate of each generation"
    assert {each.believed_until for one in found for each in one.refused_by} == {lists[1].next_update_utc}


def test_a_retired_generation_is_trusted_by_nobody(bank):
    for states in (INTRODUCED, SWITCHED, OVER):
        carried_out(bank, "issuing", states)
    assert subjects(bank, "servers/accounts/tls/intermediates.pem") == ["issuing G2"]
    assert crl_issuers(bank) == ["issuing G2", "root"]
    assert allowed(bank) == [("teller", key_of(bank, 2))]
    bank.later(hours=13)
    due = {str(change.address) for change in planned(bank, "issuing", OVER).plan.changes}
    assert "ca.issuing@2.crl" in due
    assert "ca.issuing.crl" not in due


def test_two_generations_of_a_root_are_two_anchors(bank):
    carried_out(bank, "root", INTRODUCED)
    assert subjects(bank, "servers/accounts/tls/ca.pem") == ["root", "root G2"]
    assert subjects(bank, "clients/teller/tls/ca.pem") == ["root", "root G2"]
    assert crl_issuers(bank) == ["issuing", "root", "root G2"]
    done = carried_out(bank, "root", SWITCHED)
    assert "ca.issuing.certificate" in done
    assert subjects(bank, "pki/issuing/chain.pem") == ["issuing", "root G2"]
    carried_out(bank, "root", OVER)
    assert subjects(bank, "servers/accounts/tls/ca.pem") == ["root G2"]


def test_each_generation_counts_its_crls_and_keeps_its_key_in_the_ledger(bank):
    carried_out(bank, "issuing", INTRODUCED)
    known = ledger.load(Layout(bank.out))
    assert known.crl_numbers == {"root": 1, "issuing": 1, "issuing@2": 1}
    assert set(known.ca_keys) == {"root", "issuing", "issuing@2"}
    assert keys.spki(bank.certificate("pki/issuing/2/ca.crt")) == known.ca_keys["issuing@2"].spki
    bank.later(hours=13)
    assert carried_out(bank, "issuing", INTRODUCED) >= {"ca.issuing.crl", "ca.issuing@2.crl"}
    assert ledger.load(Layout(bank.out)).crl_numbers == {"root": 1, "issuing": 2, "issuing@2": 2}


def test_a_password_guards_both_keys(household):
    household.text = CHECKING.replace("issuing: {issuer: root}", "issuing: {issuer: root, key_password: {env: ONE}}")
    household.environment = {"ONE": "correct horse"}
    household.apply()
    secrets = Secrets(household.environment)
    apply(planned(household, "issuing", INTRODUCED), secrets)
    assert keys.is_encrypted((household.out / "pki/issuing/2/ca.key").read_bytes())
    apply(planned(household, "issuing", SWITCHED), secrets)
    assert planned(household, "issuing", SWITCHED).plan.changes == ()


# --- What nobody trusts any more ------------------------------------------------------------------------------------


@pytest.fixture
def over(bank: Household) -> Household:
    for states in (INTRODUCED, SWITCHED, OVER):
        carried_out(bank, "issuing", states)
    return bank


@pytest.mark.parametrize("gone", [("ca.key",), ("ca.key", "ca.crt", "ca.cer", "chain.pem", "crl.pem"), ("chain.pem",)])
def test_what_became_of_a_retired_generation_is_no_difference(over, gone):
    for name in gone:
        (over.out / "pki/issuing" / name).unlink()
    assert planned(over, "issuing", OVER).plan.changes == ()
    (over.out / "pki/issuing/2/ca.key").unlink()
    changed = {str(change.address) for change in planned(over, "issuing", OVER).plan.changes}
    assert "ca.issuing@2.certificate" in changed
    assert "ca.issuing.certificate" not in changed


def test_a_retired_generation_is_never_due(over):
    over.later(days=1500)
    planned_then = planned(over, "issuing", OVER)
    due = {str(change.address) for change in planned_then.plan.changes}
    assert "ca.issuing@2.certificate" in due
    assert "ca.issuing.certificate" not in due
    shown = {str(one.address) for one in status(planned_then).certificates}
    assert {"ca.issuing@2.certificate", "ca.root.certificate"} <= shown
    assert "ca.issuing.certificate" not in shown


def test_a_watcher_waits_for_every_generation_that_is_trusted(bank):
    carried_out(bank, "issuing", INTRODUCED)
    bank.later(hours=6)
    carried_out(bank, "issuing", SWITCHED)
    project = bank.open()
    second = crls.half_of_life(crls.load((bank.out / "pki/issuing/2/crl.pem").read_bytes()))
    (bank.out / "pki/issuing/crl.pem").unlink()  # so that the first's is not the next
    generations = Generations({"issuing": SWITCHED})
    assert next_due(project.topology, project.kinds, project.layout, bank.now, generations) == second


def test_a_watcher_does_not_wait_for_what_is_retired(bank):
    bank.later(days=30)
    for states in (INTRODUCED, SWITCHED, OVER):
        carried_out(bank, "issuing", states)
    first, second = (one.certificate for one in looked(bank, "issuing", OVER).desired.generations("issuing"))
    due_at = [bank.certificate(one.paths.certificate).not_valid_after_utc - one.window for one in (first, second)]
    assert due_at[0] < due_at[1]
    project, moment = bank.open(), due_at[0] - timedelta(hours=1)
    for states, expected in ((SWITCHED, due_at[0]), (OVER, due_at[1])):
        generations = Generations({"issuing": states})
        assert next_due(project.topology, project.kinds, project.layout, moment, generations) == expected


def test_a_ca_that_leaves_the_topology_takes_all_its_generations_along(over):
    over.text = """
version: 1
name: bank
cas: {root: {}}
servers: {accounts: {template: python, listen: "127.0.0.1:8443", names: [localhost]}}
clients: {teller: {template: python, calls: [accounts]}}
"""
    removed = [str(one.address) for one in over.plan().changes if one.asks and one.address.role is Role.CA]
    assert removed == ["ca.issuing@2.certificate", "ca.issuing.certificate"]
    over.apply()
    assert [path for path in over.files() if path.startswith("pki/issuing")] == []
    assert over.plan().changes == ()


def test_what_a_person_keeps_beside_a_generation_stays_out_of_git(over):
    (over.out / "pki/issuing/2/notes.txt").write_text("mine")
    over.text = over.text.replace("issuing: {issuer: root", "other: {issuer: root").replace(
        "issuer: issuing", "issuer: other"
    )
    over.apply()
    kept = [path for path in over.files() if path.startswith("pki/issuing")]
    assert kept == ["pki/issuing/.gitignore", "pki/issuing/2/.gitignore", "pki/issuing/2/notes.txt"]


# --- What is renewed alone ------------------------------------------------------------------------------------------


def test_what_needs_a_generation_that_has_lost_its_key_waits(bank):
    carried_out(bank, "issuing", INTRODUCED)
    assert plan_due(looked(bank, "issuing", INTRODUCED)).waits_for == frozenset()
    (bank.out / "pki/issuing/2/ca.key").unlink()
    assert plan_due(looked(bank, "issuing", INTRODUCED)).waits_for == {"issuing"}


def test_where_each_certificate_points_is_where_its_signer_publishes(bank):
    carried_out(bank, "issuing", INTRODUCED)
    assert points_of(bank) == {"http://127.0.0.1:9080/crl/issuing.crl"}
    carried_out(bank, "issuing", SWITCHED)
    assert points_of(bank) == {"http://127.0.0.1:9080/crl/issuing.2.crl"}


def points_of(bank: Household) -> frozenset[str] | None:
    return crls.points_of(bank.certificate("clients/teller/tls/cert.pem"))
