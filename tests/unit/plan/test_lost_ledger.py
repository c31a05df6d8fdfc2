"""A ledger that was lost, or an old copy that was put back: certificates and CRLs in the folder say what they can."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509 import ocsp

from scaffold.apply.recovery import record_found
from scaffold.errors import PlanError
from scaffold.pki import crl as crls
from scaffold.pki import keys
from scaffold.pki.issue import Issuer
from scaffold.plan.intents import Renew, Revoke
from scaffold.plan.make import Planned, look, plan_all
from scaffold.plan.plan_subset import plan_due
from scaffold.plan.status import State, status
from scaffold.store import examined
from scaffold.topology.address import Address
from tests.unit.conftest import Household
from tests.unit.revoking import ACCOUNTS, CHECKING, TELLER, known, planned, release, renew, revoke, serial

LEDGER = ".scaffold/ledger.jsonl"
HOLD = "certificateHold"


@pytest.fixture
def bank(household: Household) -> Household:
    household.text = CHECKING
    household.apply()
    return household


def lose(bank: Household) -> None:
    (bank.out / LEDGER).unlink()


def listed(bank: Household) -> dict[str, str]:
    found = crls.entries(crls.load((bank.out / "pki/issuing/crl.pem").read_bytes()))
    return {f"{one.serial:x}": one.reason.value for one in found}


def state(bank: Household, address: str = TELLER) -> State:
    found = status(bank.prepare())
    return next(one.state for one in found.certificates if str(one.address) == address)


def notes_on(bank: Household, *intents: Renew | Revoke) -> list[str]:
    return [str(note) for note in planned(bank, *intents).notes if str(note.about) == TELLER]


# --- What stands in the folder is renewed and revoked --------------------------------------------------------------


def test_what_its_folder_alone_knows_is_revoked_replaced_and_recorded(bank: Household) -> None:
    lose(bank)
    stolen, real = serial(bank), bank.certificate("clients/teller/tls/cert.pem")
    revoke(bank)
    assert listed(bank) == {stolen: "keyCompromise"}
    assert serial(bank) != stolen
    recorded = known(bank).issued[real.fingerprint(SHA256()).hex()]
    assert recorded.names == ("spiffe://bank/client/teller",)
    assert recorded.key in known(bank).revoked_keys
    assert bank.plan().changes == ()


def test_a_certificate_that_an_old_copy_of_the_ledger_does_not_know_is_revoked_too(bank: Household) -> None:
    before, old = (bank.out / LEDGER).read_bytes(), serial(bank)
    bank.later(days=1)
    renew(bank, "client.teller")
    (bank.out / LEDGER).write_bytes(before)
    new = serial(bank)
    revoke(bank)
    assert set(listed(bank)) == {old, new}


def test_what_its_folder_alone_knows_is_renewed_over_its_key(bank: Household) -> None:
    before = bank.certificate("clients/teller/tls/cert.pem")
    lose(bank)
    bank.later(days=1)
    renew(bank, "client.teller")
    after = bank.certificate("clients/teller/tls/cert.pem")
    assert after.serial_number != before.serial_number
    assert after.public_key() == before.public_key()


def test_plan_says_what_is_taken_from_its_folder(bank: Household) -> None:
    address = Address.parse("client.teller")
    for intent in (Renew(address), Revoke(address, crls.Reason.SUPERSEDED)):
        assert not notes_on(bank, intent)
    lose(bank)
    for intent in (Renew(address), Revoke(address, crls.Reason.SUPERSEDED)):
        (said,) = notes_on(bank, intent)
        assert said.startswith(f"{TELLER} has serial {serial(bank)} (valid until")
        assert said.endswith("which is not in the state (.scaffold/): it is read from the folder")


def test_a_serial_is_found_in_a_folder_or_the_loss_is_named(bank: Household) -> None:
    lose(bank)
    with pytest.raises(PlanError) as refused:
        revoke(bank, None, serial="4711")
    assert "the state was lost" in str(refused.value.hint)
    stolen = serial(bank)
    revoke(bank, None, serial=stolen)
    assert listed(bank) == {stolen: "keyCompromise"}


def test_what_another_key_has_signed_is_nothing_of_todays_ca(bank: Household) -> None:
    other = Household(bank.folder / "other", CHECKING)
    other.folder.mkdir()
    other.apply()
    lose(bank)
    there = bank.out / "clients/teller/tls/cert.pem"
    there.write_bytes((other.out / "clients/teller/tls/cert.pem").read_bytes())
    with pytest.raises(PlanError, match=r"clients/teller/tls/cert\.pem is not from a present CA"):
        revoke(bank)


# --- Nothing is good again -----------------------------------------------------------------------------------------


def test_a_hold_outlives_the_ledger(bank: Household) -> None:
    revoke(bank, reason=HOLD)
    held = serial(bank)
    lose(bank)
    assert state(bank) is State.REVOKED
    assert bank.plan().changes == ()
    with pytest.raises(PlanError, match="is on hold since"):
        renew(bank, "client.teller")
    bank.later(hours=13)
    bank.apply()
    assert (serial(bank), listed(bank)) == (held, {held: HOLD})
    assert known(bank).revoked["issuing", held].reason == HOLD
    assert state(bank) is State.REVOKED
    assert bank.plan().changes == ()


def test_a_hold_can_still_be_lifted(bank: Household) -> None:
    revoke(bank, reason=HOLD)
    held = serial(bank)
    lose(bank)
    release(bank)
    assert listed(bank) == {}
    assert ("issuing", held) in known(bank).lifted
    assert state(bank) is State.VALID


def test_who_was_revoked_without_another_gets_none_until_that_is_asked_for(bank: Household) -> None:
    revoke(bank, replace=False)
    gone = serial(bank)
    lose(bank)
    bank.later(hours=13)
    bank.apply()
    assert serial(bank) == gone
    assert not any(str(change.address) == TELLER for change in plan_due(bank.look()).planned.plan.changes)
    renew(bank, "client.teller")
    assert serial(bank) != gone
    assert listed(bank) == {gone: "keyCompromise"}


def test_who_has_got_another_keeps_it(bank: Household) -> None:
    revoke(bank)
    today = serial(bank)
    lose(bank)
    bank.later(hours=13)
    bank.apply()
    assert serial(bank) == today
    assert state(bank) is State.VALID
    assert bank.plan().changes == ()


def test_an_old_copy_of_the_ledger_makes_nothing_good_again(bank: Household) -> None:
    before = (bank.out / LEDGER).read_bytes()
    revoke(bank, replace=False)
    gone = serial(bank)
    (bank.out / LEDGER).write_bytes(before)
    assert state(bank) is State.REVOKED
    bank.later(hours=13)
    bank.apply()
    assert (serial(bank), listed(bank)) == (gone, {gone: "keyCompromise"})
    assert known(bank).revoked["issuing", gone].reason == "keyCompromise"


def test_a_list_that_the_key_of_the_ca_has_not_signed_revokes_nobody(bank: Household) -> None:
    other = Household(bank.folder / "other", CHECKING)
    other.folder.mkdir()
    other.apply()
    signer = Issuer(other.certificate("pki/issuing/ca.crt"), keys.load((other.out / "pki/issuing/ca.key").read_bytes()))
    entry = crls.Revoked(int(serial(bank), 16), bank.now, crls.Reason.KEY_COMPROMISE)
    forged = crls.build(signer, 9, bank.now - timedelta(minutes=5), bank.now + timedelta(days=1), [entry])
    (bank.out / "pki/issuing/crl.pem").write_bytes(crls.to_pem(forged))
    lose(bank)
    assert state(bank) is State.VALID
    bank.apply()
    assert listed(bank) == {}


def test_nothing_revoked_is_stapled_as_good(bank: Household) -> None:
    bank.text = bank.text.replace("check_revocation: crl}", "check_revocation: none, staple: true}").replace(
        "accounts:\n    {template: python", "accounts:\n    {template: nginx"
    )
    bank.apply()
    revoke(bank, "server.accounts", reason=HOLD)
    lose(bank)
    path = bank.out / "servers/accounts/tls/staple.der"
    path.unlink()
    bank.apply()
    assert ocsp.load_der_ocsp_response(path.read_bytes()).certificate_status is ocsp.OCSPCertStatus.REVOKED


# --- The loss is told ----------------------------------------------------------------------------------------------


def test_plan_and_status_say_that_it_was_lost(bank: Household) -> None:
    revoke(bank)
    assert not status(bank.prepare()).lost
    lose(bank)
    said = list(map(str, status(bank.prepare()).lost))
    assert [text.split(":")[0] for text in said] == [
        "ca.root.certificate is not in the state (.scaffold/), which was lost",
        "ca.issuing.certificate is not in the state (.scaffold/), which was lost",
        "ca.issuing.crl lists 1 that are not in the state (.scaffold/)",
    ]
    assert [str(note) for note in bank.plan().notes[:3]] == said


def without(bank: Household, *addresses: str) -> None:
    """Takes the lines of some certificates out of the ledger."""
    lines = (bank.out / LEDGER).read_text().splitlines(keepends=True)
    kept = [one for one in lines if not any(f'"address":"{address}"' in one for address in addresses)]
    assert len(kept) == len(lines) - len(addresses)
    (bank.out / LEDGER).write_text("".join(kept))


def remembering(bank: Household) -> Planned:
    """A plan that takes what was examined before for granted, as the command does."""
    project = bank.open()
    basis = look(
        project.topology, project.kinds, project.layout, bank.now, remembered=examined.load(project.layout)
    )  # fmt: skip
    return plan_all(basis)


@pytest.mark.parametrize("prepare", [Household.prepare, remembering])
def test_a_ledger_that_was_lost_in_part_is_told_of(bank: Household, prepare: Callable[[Household], Planned]) -> None:
    bank.carry_out(remembering(bank))  # what is in order is remembered from here on
    bank.later(hours=13)
    bank.carry_out(remembering(bank))
    assert not status(prepare(bank)).lost
    without(bank, TELLER)
    planned = prepare(bank)
    (said,) = map(str, status(planned).lost)
    assert said.startswith(f"{TELLER} is not in the state (.scaffold/), which was lost in part")
    assert said in map(str, planned.plan.notes)
    assert not status(planned).fine
    without(bank, ACCOUNTS, "server.front.client-certificate")
    (said,) = map(str, status(prepare(bank)).lost)
    assert said.startswith(f"{ACCOUNTS}, server.front.client-certificate, {TELLER} are not in the state")


def test_what_was_lost_in_part_is_recorded_from_the_folder(bank: Household) -> None:
    without(bank, TELLER, ACCOUNTS)
    found = record_found(bank.look, bank.look())
    assert (found.certificates, found.revocations) == (2, 0)
    assert not status(bank.prepare()).lost


def test_what_is_no_loss_is_not_told_of(bank: Household) -> None:
    other = Household(bank.folder / "other", CHECKING)
    other.folder.mkdir()
    other.apply()
    there = bank.out / "clients/teller/tls/cert.pem"
    own = there.read_bytes()
    there.write_bytes((other.out / "clients/teller/tls/cert.pem").read_bytes())
    assert not status(bank.prepare()).lost  # of another CA: it is to be replaced
    there.write_bytes(own)
    without(bank, TELLER)
    bank.later(days=91)
    assert not any(TELLER in str(note) for note in status(bank.prepare()).lost)  # its line may be in the archive
