"""What the CRL of an adopted CA revokes, be it signed elsewhere: it counts like what the ledger has revoked."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from scaffold.errors import PlanError
from scaffold.explain.ends import World as Explained
from scaffold.explain.handshake import handshake
from scaffold.pki import crl as crls
from scaffold.pki import keys
from scaffold.plan.reasons import ReasonCode
from scaffold.plan.status import State, status
from scaffold.running.watch import World, _Watcher
from scaffold.store.secrets import Secrets
from scaffold.verify.last_run import LastRun
from tests.unit.adopting import NOW, Adopting, Made, Spec, make
from tests.unit.elsewhere import CLIENT, Elsewhere, Issued, pem
from tests.unit.revoking import TELLER, known, release, renew, renew_due, serial

CA = make(Spec())
COMPROMISED = x509.ReasonFlags.key_compromise
HOLD = x509.ReasonFlags.certificate_hold
TAKEN_OFF = x509.ReasonFlags.remove_from_crl


@pytest.fixture
def adopting(household) -> Adopting:
    """A server that checks, below an adopted CA whose key is here, and whose CRL is signed elsewhere."""
    found = Adopting(household)
    found.ask(server="python", client="curl", check=", check_revocation: crl", teller=", lifetime: 30d")
    revoke(found, 1)
    found.apply()
    return found


def signed(made: Made, number: int, entries: dict[str, x509.ReasonFlags | None]) -> crls.Crl:
    builder = x509.CertificateRevocationListBuilder().issuer_name(made.certificate.subject)
    builder = builder.last_update(NOW - timedelta(days=1)).next_update(NOW + timedelta(days=300))
    builder = builder.add_extension(x509.CRLNumber(number), False)
    for each, reason in entries.items():
        entry = x509.RevokedCertificateBuilder(int(each, 16), NOW - timedelta(hours=2))
        if reason is not None:
            entry = entry.add_extension(x509.CRLReason(reason), False)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(made.key, hashes.SHA256())


def revoke(adopting: Adopting, number: int, **entries: x509.ReasonFlags | None) -> None:
    """Brings the next CRL; the keywords are serials."""
    adopting.bring(CA, crl_files=[signed(CA, number, {each.removeprefix("s"): why for each, why in entries.items()})])
    adopting.write()


def revoke_teller(adopting: Adopting, reason: x509.ReasonFlags | None = COMPROMISED, number: int = 2) -> str:
    found = serial(adopting.household)
    revoke(adopting, number, **{f"s{found}": reason})
    adopting.household.carry_out(adopting.household.prepare())
    return found


def public(adopting: Adopting) -> str:
    return keys.spki_sha256(adopting.household.certificate("clients/teller/tls/cert.pem"))


def state(adopting: Adopting) -> State:
    found = status(adopting.household.prepare())
    return next(one.state for one in found.certificates if str(one.address) == TELLER)


def test_a_key_that_was_compromised_is_certified_no_more_unasked(adopting):
    stolen, burnt = revoke_teller(adopting), public(adopting)
    adopting.household.later(days=25)  # due
    renew_due(adopting.household)
    assert (serial(adopting.household), public(adopting)) == (stolen, burnt)
    assert adopting.household.plan().changes == ()


def test_the_same_certificate_would_be_renewed_if_nobody_had_revoked_it(adopting):
    before = serial(adopting.household)
    adopting.household.later(days=25)
    renew_due(adopting.household)
    assert serial(adopting.household) != before


def test_whoever_asks_gets_another_key(adopting):
    stolen, burnt = revoke_teller(adopting), public(adopting)
    renew(adopting.household, "client.teller")
    assert serial(adopting.household) != stolen
    assert public(adopting) != burnt
    assert state(adopting) is State.VALID


def test_plan_says_so_once_and_status_does(adopting):
    stolen = revoke_teller(adopting)
    (note,) = [note for note in adopting.notes() if TELLER in note]
    assert "is revoked since" in note
    assert "(keyCompromise) and is not replaced: `scaffold renew client.teller` gives it a new key" in note
    found = status(adopting.household.prepare())
    (one,) = [one for one in found.certificates if str(one.address) == TELLER]
    assert (one.state, one.reason) == (State.REVOKED, "keyCompromise")
    assert [(each.ca, each.serial, each.reason) for each in found.revoked] == [("partner", stolen, "keyCompromise")]
    assert found.revoked[0].issued is not None


def test_an_entry_without_a_reason_revokes_too(adopting):
    revoke_teller(adopting, None)
    assert state(adopting) is State.REVOKED


def test_what_is_taken_off_the_list_is_not_revoked(adopting):
    revoke_teller(adopting, TAKEN_OFF)
    assert state(adopting) is State.VALID
    assert known(adopting.household).revoked == {}


def test_a_hold_ends_with_the_list_that_does_not_have_it_and_until_then_nothing_is_issued(adopting):
    held = revoke_teller(adopting, HOLD)
    assert state(adopting) is State.REVOKED
    with pytest.raises(PlanError, match="is on hold since") as refused:
        renew(adopting.household, "client.teller")
    assert "is signed elsewhere" in str(refused.value.hint)
    with pytest.raises(PlanError, match=r"the hold on client\.teller\.certificate is lifted there"):
        release(adopting.household)
    (note,) = [note for note in adopting.notes() if TELLER in note]
    assert "the next CRL of ca.partner that does not list it lifts the hold" in note
    revoke(adopting, 3)
    adopting.household.apply()
    assert state(adopting) is State.VALID
    assert serial(adopting.household) == held
    assert known(adopting.household).revoked == {}


def test_the_key_stays_known_once_the_certificate_has_ended_and_left_the_list(adopting):
    burnt, stolen = public(adopting), revoke_teller(adopting)
    assert ("partner", stolen) in known(adopting.household).revoked
    adopting.household.later(days=40)
    revoke(adopting, 3)
    renew_due(adopting.household)
    adopting.household.apply()
    assert serial(adopting.household) == stolen
    renew(adopting.household, "client.teller")
    assert public(adopting) != burnt


def test_a_later_certificate_over_the_same_key_falls_with_it(adopting):
    stolen, burnt = serial(adopting.household), public(adopting)
    adopting.household.later(days=25)
    renew_due(adopting.household)
    assert public(adopting) == burnt
    revoke(adopting, 2, **{f"s{stolen}": COMPROMISED})
    (change,) = [one for one in adopting.household.plan().changes if str(one.address) == TELLER]
    assert [reason.code for reason in change.reasons] == [ReasonCode.KEY_OF_REVOKED]
    renew_due(adopting.household)
    assert public(adopting) == burnt  # a person is to see it
    adopting.household.apply()
    assert public(adopting) != burnt


def test_a_former_certificate_that_was_superseded_says_nothing_of_the_key(adopting):
    former = serial(adopting.household)
    adopting.household.later(days=25)
    renew_due(adopting.household)
    revoke(adopting, 2, **{f"s{former}": x509.ReasonFlags.superseded})
    adopting.household.apply()
    assert state(adopting) is State.VALID


def test_a_serial_of_nobody_here_is_nothing_to_record(adopting):
    revoke(adopting, 2, s4711=COMPROMISED)
    before = len(known(adopting.household).revoked)
    adopting.household.apply()
    recorded = known(adopting.household)
    assert (before, list(recorded.revoked)) == (0, [("partner", "4711")])  # of the list that is kept, once
    assert recorded.compromised_keys == frozenset()
    assert adopting.household.look().revoked_elsewhere == ()


def test_it_counts_where_the_ledger_is_lost(adopting):
    stolen = revoke_teller(adopting)
    (adopting.household.out / ".scaffold/ledger.jsonl").unlink()
    assert state(adopting) is State.REVOKED
    renew(adopting.household, "client.teller")
    assert serial(adopting.household) != stolen


def test_once_the_list_is_signed_here_the_entry_stays_and_the_key_stays_burnt(adopting):
    stolen, burnt = revoke_teller(adopting), public(adopting)
    adopting.words["brought"] = ""
    adopting.apply()
    listed = crls.entries(crls.load((adopting.household.out / "pki/partner/crl.pem").read_bytes()))
    assert [f"{one.serial:x}" for one in listed] == [stolen]
    renew(adopting.household, "client.teller")
    assert public(adopting) != burnt


def test_the_watcher_renews_nothing_of_it_and_records_it(adopting):
    stolen = serial(adopting.household)
    revoke(adopting, 2, **{f"s{stolen}": COMPROMISED})
    adopting.household.later(days=25)
    project = adopting.household.open()
    world = World(project.topology, project.kinds, project.layout)
    events: list[object] = []
    watcher = _Watcher(lambda: world, lambda: adopting.household.now, Secrets({}), events.append, str)
    watcher.turn()
    assert serial(adopting.household) == stolen
    assert ("partner", stolen) in known(adopting.household).revoked


# --- A client from elsewhere ----------------------------------------------------------------------------------------

PARTNER = Elsewhere("Partner")
CA_OF_CLIENT = Made(PARTNER.intermediate, PARTNER.key)
EXISTING = """
version: 1
name: bank
cas:
  own: {}
  partner: {existing: {certificate: live/ca.pem, chain: live/root.pem, crl: live/all.crl}}
servers:
  accounts: {template: python, issuer: own, listen: "127.0.0.1:8443", names: [localhost], check_revocation: crl}
clients:
  old:
    template: python
    issuer: partner
    existing: {certificate: live/old.pem, key: live/old.key, identity: "dns:old.partner.example"}
    calls: [accounts]
"""


@pytest.fixture
def client(household) -> Issued:
    """A client whose certificate an adopted CA has issued elsewhere, and which is on no list."""
    live = household.folder / "live"
    live.mkdir()
    old = PARTNER.issue("old.partner.example", purposes=[CLIENT])
    (live / "ca.pem").write_bytes(pem([PARTNER.intermediate]))
    (live / "root.pem").write_bytes(pem([PARTNER.root]))
    (live / "old.pem").write_bytes(old.full_chain())
    (live / "old.key").write_bytes(old.key_pem())
    household.text = EXISTING
    list_it(household, 1, {})
    household.apply()
    return old


def list_it(household, number: int, entries: dict[str, x509.ReasonFlags | None]) -> None:
    lists = (signed(CA_OF_CLIENT, number, entries), signed(Made(PARTNER.root, PARTNER.root_key), number, {}))
    (household.folder / "live/all.crl").write_bytes(b"".join(map(crls.to_pem, lists)))


def state_of_old(household) -> tuple[State, str | None]:
    found = status(household.prepare()).certificates
    (one,) = [one for one in found if str(one.address) == "client.old.certificate"]
    return one.state, one.reason


def notes_of_old(household) -> list[str]:
    return [str(note) for note in household.plan().notes if str(note).startswith("client.old.certificate")]


def test_of_a_client_from_elsewhere_that_is_on_no_list_nothing_is_said(household, client):
    assert notes_of_old(household) == []
    assert state_of_old(household) == (State.VALID, None)


def test_a_revoked_client_from_elsewhere_is_told_by_plan_and_status(household, client):
    list_it(household, 2, {f"{client.certificate.serial_number:x}": COMPROMISED})
    (note,) = notes_of_old(household)
    assert "client.old.certificate is revoked since" in note
    assert "(keyCompromise): the CRL of ca.partner lists serial" in note
    assert state_of_old(household) == (State.REVOKED, "keyCompromise")


def test_a_client_from_elsewhere_that_is_on_hold_is_told_as_such(household, client):
    list_it(household, 2, {f"{client.certificate.serial_number:x}": HOLD})
    (note,) = notes_of_old(household)
    assert "client.old.certificate is on hold since" in note
    assert state_of_old(household) == (State.REVOKED, "certificateHold")


def test_where_an_external_certificate_points_to_is_told_of_once(household, client):
    assert len([note for note in household.plan().notes if "are not known here" in str(note)]) == 1


def test_explain_knows_of_a_client_from_elsewhere_that_is_revoked(household, client):
    def failing() -> list[str]:
        project = household.open()
        t, layout = project.topology, project.layout
        known = Explained(t, project.kinds, layout, household.look().ledger, LastRun(), household.now)
        told = handshake(known, t.clients["old"], t.servers["accounts"])
        return [check.about.value for step in told.steps for check in step.checks if check.holds is False]

    assert failing() == []
    list_it(household, 2, {f"{client.certificate.serial_number:x}": COMPROMISED})
    assert failing() == ["revocation"]
