"""A fault that a topology asks for is issued, kept, seen when it is gone, and renewed, whichever it is."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from scaffold.errors import SecretError, TopologyError
from scaffold.pki import bundles
from scaffold.pki import crl as crls
from scaffold.plan.model import Action
from scaffold.plan.plan_subset import plan_due
from scaffold.plan.status import State, status
from scaffold.topology.faults import ABOUT, OWN_CHAIN
from scaffold.topology.model import Fault, FileFault
from tests.unit.conftest import Household

LAB = """
version: 1
name: bank
cas:
  root: {}
  issuing: {issuer: root, path_length: 0}
servers:
  accounts: {template: python, issuer: issuing, listen: "127.0.0.1:8443", names: [localhost], check_revocation: crl}
clients:
  teller: {template: python, issuer: issuing, calls: [accounts], check_revocation: crl}
  mallory: {template: python, issuer: issuing, calls: [accounts], fault: FAULT}
"""
LEAF = "clients/mallory/tls/cert.pem"
ADDRESS = "client.mallory.certificate"
TIMELESS = [fault for fault in Fault if fault not in (Fault.EXPIRED, Fault.NOT_YET_VALID)]


def of(household: Household, fault: str, of_server: bool = False) -> Household:
    household.text = LAB.replace("FAULT", fault)
    if of_server:
        household.text = (
            LAB.replace(", fault: FAULT", "")
            .replace("names: [localhost]", f"names: [localhost], fault: {fault}")
            .replace("calls: [accounts]}", "calls: [accounts], check_revocation: crl}")
            .replace("mallory: {", "mallory: {subject: {organization: x}, ")
        )
    return household


@pytest.mark.parametrize("of_server", [False, True], ids=["client", "server"])
@pytest.mark.parametrize("fault", Fault)
def test_it_is_made_once_and_stays(household: Household, fault: Fault, of_server: bool) -> None:
    lab = of(household, fault, of_server)
    lab.apply()
    address = "server.accounts.certificate" if of_server else ADDRESS
    assert lab.planned() == {}
    [found] = [one for one in status(lab.prepare()).certificates if str(one.address) == address]
    assert (found.state, found.detail) == (State.FAULT, fault)


@pytest.mark.parametrize("fault", TIMELESS)
def test_it_is_renewed_when_it_is_due_and_has_its_fault_still(household: Household, fault: Fault) -> None:
    lab = of(household, fault)
    lab.apply()
    before = (lab.out / LEAF).read_bytes()
    lab.later(days=80)
    assert lab.planned()[ADDRESS][0] is Action.RENEW
    lab.apply()
    assert lab.planned() == {}
    assert (lab.out / LEAF).read_bytes() != before


@pytest.mark.parametrize("fault", [*TIMELESS, Fault.EXPIRED])
def test_what_has_lost_its_fault_is_issued_again(household: Household, fault: Fault) -> None:
    lab = of(household, fault)
    lab.apply()
    (lab.out / LEAF).write_bytes((lab.out / "clients/teller/tls/cert.pem").read_bytes())
    (lab.out / "clients/mallory/tls/key.pem").write_bytes((lab.out / "clients/teller/tls/key.pem").read_bytes())
    assert ADDRESS in lab.planned()
    lab.apply()
    assert lab.planned() == {}


@pytest.mark.parametrize("fault", Fault)
def test_a_fault_that_is_taken_out_leaves_a_sound_certificate(household: Household, fault: Fault) -> None:
    of(household, fault).apply()
    household.text = household.text.replace(f", fault: {fault}", "")
    assert household.planned()[ADDRESS][0] in (Action.UPDATE, Action.RENEW, Action.REPLACE)
    household.apply()
    assert household.planned() == {}
    leaf, issuing = bundles.load_certificates((household.out / LEAF).read_bytes())
    assert issuing == household.certificate("pki/issuing/ca.crt")
    leaf.verify_directly_issued_by(issuing)


@pytest.mark.parametrize("fault", sorted(OWN_CHAIN))
def test_rights_that_are_put_right_leave_the_chain_as_it_is(household: Household, fault: Fault) -> None:
    of(household, fault).apply()
    before = (household.out / LEAF).read_bytes()
    (household.out / "clients/mallory/tls/key.pem").chmod(0o644)
    assert household.planned() == {ADDRESS: (Action.UPDATE, "rights")}
    household.apply()
    assert (household.out / LEAF).read_bytes() == before
    assert household.planned() == {}


# --- Revoked -------------------------------------------------------------------------------------------------------


def listed(lab: Household, path: str) -> set[int]:
    text = (lab.out / path).read_bytes()
    return {entry.serial_number for crl in crls.load_all(text) for entry in crl}


def test_the_first_list_has_it_already(household: Household) -> None:
    of(household, "revoked").apply()
    serial = household.certificate(LEAF).serial_number
    assert listed(household, "pki/issuing/crl.pem") == {serial}
    assert listed(household, "servers/accounts/tls/crl.pem") == {serial}
    number = crls.number(crls.load((household.out / "pki/issuing/crl.pem").read_bytes()))
    assert number == 1


def test_one_that_comes_later_is_on_the_next_list(household: Household) -> None:
    of(household, "expired").apply()
    household.text = LAB.replace("FAULT", "revoked")
    assert household.planned()["ca.issuing.crl"] == (Action.UPDATE, "entries")
    household.apply()
    assert household.certificate(LEAF).serial_number in listed(household, "servers/accounts/tls/crl.pem")
    assert household.planned() == {}


def test_a_state_that_does_not_know_it_takes_it_from_the_list_or_revokes_another(household: Household) -> None:
    of(household, "revoked").apply()
    ledger = household.out / ".scaffold/ledger.jsonl"
    ledger.write_text("".join(line for line in ledger.open() if '"revoked"' not in line))
    assert household.planned() == {}
    for path in ("pki/issuing/crl.pem", "servers/accounts/tls/crl.pem"):
        (household.out / path).unlink()
    assert household.planned()[ADDRESS] == (Action.UPDATE, "fault")


def test_whoever_checks_nothing_could_not_see_it(household: Household) -> None:
    of(household, "revoked")
    household.text = household.text.replace(", check_revocation: crl}\nclients", "}\nclients")
    with pytest.raises(TopologyError, match="cannot detect the fault") as error:
        household.plan()
    assert "check_revocation: crl" in (error.value.hint or "")


# --- The language --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", FileFault)
def test_what_no_server_starts_with_is_refused_with_the_reason(household: Household, fault: FileFault) -> None:
    with pytest.raises(TopologyError, match="is not allowed here") as error:
        of(household, fault).plan()
    assert ABOUT[fault].only_a_file in (error.value.hint or "")
    assert "broken" in (error.value.hint or "")


@pytest.mark.parametrize("fault", ["no-san", "nul-in-name", "version-1"])
def test_nginx_sees_no_names_and_is_not_asked_to(household: Household, fault: str) -> None:
    of(household, fault)
    household.text = household.text.replace("{template: python", "{template: nginx", 1)
    with pytest.raises(TopologyError, match=r"template \"nginx\"\) cannot detect the fault"):
        household.plan()


def test_a_longer_life_is_kept(household: Household) -> None:
    of(household, "path-length").apply()
    leaf, lower, upper = bundles.load_certificates((household.out / LEAF).read_bytes())
    assert leaf.not_valid_after_utc - household.now.replace(microsecond=0) == timedelta(days=90)
    assert lower.not_valid_after_utc >= leaf.not_valid_after_utc
    assert upper.not_valid_after_utc >= leaf.not_valid_after_utc


def with_password(household: Household, fault: str) -> Household:
    of(household, fault)
    household.text = household.text.replace("root: {}", "root: {key_password: {env: ROOT}}")
    household.environment = {"ROOT": "secret"}
    household.apply()
    household.environment = {}
    household.later(days=80)
    return household


def test_a_fault_of_the_certificate_alone_needs_no_key_but_its_issuers(household: Household) -> None:
    lab = with_password(household, "wrong-eku")
    leaves = [change for change in lab.plan().changes if change.address.name == "mallory"]
    planned = lab.prepare()
    lab.carry_out(replace(planned, plan=replace(planned.plan, changes=tuple(leaves))))
    assert ADDRESS not in lab.planned()


def test_a_fault_of_the_chain_asks_for_the_password_before_anything_is_written(household: Household) -> None:
    lab = with_password(household, "path-length")
    before = lab.files()
    with pytest.raises(SecretError, match=r"ca\.root"):
        lab.apply()
    assert lab.files() == before


def test_a_renewal_alone_lists_the_new_one_as_well(household: Household) -> None:
    of(household, "revoked").apply()
    before = household.certificate(LEAF).serial_number
    household.later(days=80)
    due = plan_due(household.look())
    assert {"ca.issuing.crl", ADDRESS} <= {str(change.address) for change in due.planned.plan.changes}
    household.carry_out(due.planned)
    serial = household.certificate(LEAF).serial_number
    assert serial != before
    assert serial in listed(household, "pki/issuing/crl.pem")
    assert serial in listed(household, "servers/accounts/tls/crl.pem")
