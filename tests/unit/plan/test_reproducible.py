"""Plans of a reproducible topology: its own moment counts, and what would differ each time is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.x509 import ocsp

from scaffold.apply import apply
from scaffold.errors import SecretError, TopologyError
from scaffold.pki import crl as crls
from scaffold.pki import keys
from scaffold.pki.derived import Derived
from scaffold.plan.intents import Revoke, reason_of
from scaffold.plan.make import plan_all
from scaffold.plan.model import Action
from scaffold.plan.plan_subset import plan_intents
from scaffold.plan.status import State, status
from scaffold.store.secrets import Secrets
from scaffold.topology.address import Address
from scaffold.topology.model import KeyType
from tests.unit.conftest import Household

AT = datetime(2026, 1, 1, tzinfo=UTC)
LAB = """
version: 1
name: bank
publish: http://127.0.0.1:9080
reproducible: {seed: {env: SEED}, at: 2026-01-01T00:00:00Z}
cas:
  root: {}
  issuing: {issuer: root}
servers:
  accounts: {template: nginx, issuer: issuing, listen: "127.0.0.1:8443", names: [localhost], staple: true}
clients:
  teller: {template: python, issuer: issuing, calls: [accounts]}
  mallory: {template: python, issuer: issuing, calls: [accounts], fault: wrong-ca}
"""
TELLER = "clients/teller/tls/cert.pem"


@pytest.fixture
def lab(household: Household) -> Household:
    household.text = LAB
    return household


def carry_out(lab: Household, planned, seed: bytes = b"seed"):
    return apply(planned, Secrets({}), randomness=Derived(seed, "bank"))


def made(lab: Household) -> Household:
    carry_out(lab, lab.prepare())
    return lab


def move(lab: Household, day: str) -> None:
    lab.text = lab.text.replace("2026-01-01", day)


def test_the_moment_is_that_of_the_topology_whatever_the_clock_says(lab):
    made(lab)
    for path in ("pki/root/ca.crt", TELLER):
        certificate = lab.certificate(path)
        assert certificate.not_valid_before_utc == AT - timedelta(minutes=5)
        assert certificate.not_valid_after_utc == AT + timedelta(days=50 * 365)
    crl = crls.load((lab.out / "pki/root/crl.pem").read_bytes())
    assert (crl.last_update_utc, crl.next_update_utc) == (AT - timedelta(minutes=5), AT + timedelta(days=50 * 365))
    lab.now = datetime(2060, 1, 1, tzinfo=UTC)
    assert lab.planned() == {}


def test_a_crl_that_nobody_points_to_lives_as_long(lab):
    lab.text = lab.text.replace("publish:", "#").replace(", staple: true", "")
    made(lab)
    crl = crls.load((lab.out / "pki/issuing/crl.pem").read_bytes())
    assert crl.next_update_utc == AT + timedelta(days=50 * 365)


@pytest.mark.parametrize("day", ["2026-01-02", "2025-06-01", "2040-01-01"])
def test_another_moment_is_the_same_as_if_it_had_always_been_that(tmp_path, lab, day):
    made(lab)
    before = lab.files()
    move(lab, day)
    planned = lab.planned()
    leaves = ("server.accounts.certificate", "client.teller.certificate", "client.mallory.certificate")
    for address in ("ca.root.certificate", *leaves):
        assert planned[address] == (Action.RENEW, "at")
    assert planned["ca.root.crl"] == (Action.UPDATE, "not-yet-valid" if day < "2026" else "at")
    made(lab)
    assert lab.planned() == {}
    (tmp_path / "fresh").mkdir()
    fresh = made(Household(tmp_path / "fresh", lab.text, lab.now)).files()
    assert {path for path, text in lab.files().items() if text != fresh[path]} == {
        "pki/issuing/crl.pem",
        "pki/root/crl.pem",  # their numbers go on
    }
    for path, text in before.items():
        assert (lab.out / path).read_bytes() == text or not path.endswith("key.pem")


def test_a_staple_is_of_the_moment_too(lab):
    made(lab)
    response = ocsp.load_der_ocsp_response((lab.out / "servers/accounts/tls/staple.der").read_bytes())
    assert response.produced_at_utc == AT
    stale = (lab.out / "servers/accounts/tls/staple.der").read_bytes()
    move(lab, "2026-01-02")
    made(lab)
    (lab.out / "servers/accounts/tls/staple.der").write_bytes(stale)
    assert set(lab.planned()) == {"server.accounts.staple"}


def test_a_key_that_is_lost_is_made_again_and_the_certificate_with_it(lab):
    before = made(lab).files()
    (lab.out / "clients/teller/tls/key.pem").unlink()
    (lab.out / TELLER).unlink()
    made(lab)
    assert lab.files() == before


def test_a_certificate_that_says_something_else_has_another_serial_over_the_same_key(lab):
    before = made(lab).certificate(TELLER)
    lab.text = lab.text.replace("calls: [accounts]}", "calls: [accounts], names: [teller.example]}", 1)
    after = made(lab).certificate(TELLER)
    assert before.public_key() == after.public_key()
    assert before.serial_number != after.serial_number


def test_no_two_certificates_have_one_serial(lab):
    made(lab)
    found = [x509.load_pem_x509_certificate(path.read_bytes()) for path in lab.out.rglob("cert.pem")]
    assert len({one.serial_number for one in found}) == len(found) == 3


def test_a_revoked_key_is_never_made_again(lab):
    before = made(lab).certificate(TELLER)
    seen = {keys.spki(before)}
    for number in (2, 3):
        intent = Revoke(Address.client("teller"), reason_of("keyCompromise"), True, None)
        carry_out(lab, plan_intents(lab.look(), [intent]))
        key = lab.certificate(TELLER).public_key()
        expected = Derived(b"seed", "bank").key(f"client.teller.certificate {number}", KeyType.EC_P256)
        assert key == expected.public_key()
        seen.add(keys.spki(lab.certificate(TELLER)))
    assert len(seen) == 3
    crl = crls.load((lab.out / "pki/issuing/crl.pem").read_bytes())
    assert {entry.revocation_date_utc for entry in crl} == {AT}


def test_another_seed_is_refused_before_anything_is_written(lab):
    before = made(lab).files()
    move(lab, "2026-01-02")
    with pytest.raises(SecretError, match=r"ca\.root in .* was not made from this seed"):
        carry_out(lab, lab.prepare(), b"another")
    assert lab.files() == before


def test_a_seed_is_refused_over_keys_that_were_made_without_one(lab):
    reproducible = lab.text
    lab.text = reproducible.replace("reproducible:", "#")
    lab.apply()
    lab.text = reproducible
    with pytest.raises(SecretError, match="was not made from this seed"):
        made(lab)


def test_the_seed_still_fits_once_a_cas_key_was_revoked(lab):
    made(lab)
    intent = Revoke(Address.ca("issuing"), reason_of("cACompromise"), True, None)
    carry_out(lab, plan_intents(lab.look(), [intent]))
    move(lab, "2026-01-02")
    made(lab)
    assert lab.planned() == {}


def test_status_goes_by_the_clock(lab):
    made(lab)
    planned = plan_all(lab.look())
    states = {one.state for one in status(planned, clock=AT + timedelta(days=51 * 365)).certificates}
    assert State.EXPIRED in states
    assert {one.state for one in status(planned, clock=AT).certificates} == {State.VALID, State.FAULT}


def test_an_openssl_that_draws_nonces_is_refused(lab, monkeypatch):
    monkeypatch.setattr("scaffold.plan.reproducible.derives_nonces", lambda: False)
    with pytest.raises(TopologyError, match=r"OpenSSL is older than 3\.2"):
        lab.plan()


def test_the_half_century_is_no_note(lab):
    assert not [note for note in lab.plan().notes if "lifetime" in note.text]
    lab.text = LAB.replace("reproducible:", "#").replace("cas:\n", "defaults: {lifetime: 2y}\ncas:\n")
    assert [note for note in lab.plan().notes if "lifetime" in note.text]
