"""What is wrong with one CA: it is told once, with the reason, and every other CA answers, signs and publishes on."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from scaffold.errors import PublishError
from scaffold.pki import crl, keys
from scaffold.publish import state as states
from scaffold.publish.app import Publisher
from scaffold.publish.state import State
from scaffold.topology.model import KeyType
from tests.fresh import new_key
from tests.unit.publish.lab import ask, request, revoke

TWO = """
version: 1
name: bank
publish: http://127.0.0.1:9080
cas:
  root: {}
  ill: {issuer: root, revocation: {crl: 1d, ocsp: 1h}}
  well: {issuer: root, revocation: {crl: 1d, ocsp: 1h}}
servers:
  accounts: {template: python, issuer: well, listen: "127.0.0.1:8443", names: [localhost]}
clients:
  patient: {template: python, issuer: ill, calls: [accounts]}
  teller: {template: python, issuer: well, calls: [accounts]}
"""


@pytest.fixture
def bank(household):
    household.text = TWO
    household.now = household.now.replace(microsecond=0)
    household.apply()
    return household


def made(household) -> State:
    project = household.open()
    return State(project.topology, project.layout)


def opened(household) -> State:
    state = made(household)
    state.open(household.now)
    return state


def damage(path: Path) -> None:
    path.write_bytes(b"-----BEGIN SOMETHING-----\nAAAA\n-----END SOMETHING-----\n")


def other_key(path: Path) -> None:
    path.write_bytes(keys.to_pem(new_key(KeyType.EC_P256)))


def make_folder(path: Path) -> None:
    """Nobody can read it as a file, root included."""
    path.unlink()
    path.mkdir()


Harm = tuple[str, Callable[[Path], object], str, str]
HARMS: dict[str, Harm] = {
    "key damaged": ("ca.key", damage, "key", "not a private key"),
    "key missing": ("ca.key", Path.unlink, "key", "pki/ill/ca.key is not there"),
    "key unreadable": ("ca.key", make_folder, "key", "not a regular file"),
    "key of another": ("ca.key", other_key, "key", "not that of the CA certificate"),
    "certificate damaged": ("ca.crt", damage, "certificate", "pki/ill/ca.crt is not a certificate"),
    "certificate missing": ("ca.crt", Path.unlink, "certificate", "pki/ill/ca.crt is not there"),
    "folder missing": ("", shutil.rmtree, "certificate", "pki/ill/ca.crt is not there"),
    "CRL unreadable": ("crl.pem", make_folder, "crl", "not a regular file"),
}


@pytest.fixture(params=HARMS.values(), ids=HARMS)
def harm(request) -> Harm:
    return request.param


def works(household, state: State, ca: str = "well", client: str = "teller") -> None:
    """A revocation by the CA reaches its CRL and its OCSP answers, and its certificate is served."""
    leaf, issuer = household.certificate(f"clients/{client}/tls/cert.pem"), household.certificate(f"pki/{ca}/ca.crt")
    assert ask(state, ca, leaf, issuer, household.now).status == "GOOD"
    revoke(household.out, ca, leaf, household.now)
    state.refresh(household.now)
    assert ask(state, ca, leaf, issuer, household.now).status == "REVOKED"
    listed = crl.load((household.out / f"pki/{ca}/crl.pem").read_bytes())
    assert [one.serial for one in crl.entries(listed)] == [leaf.serial_number]
    assert state.crl(ca).body == crl.to_der(listed)
    assert state.certificate(ca) is not None


def test_a_ca_that_falls_ill_takes_no_other_down(bank, harm, caplog):
    file, hurt, part, why = harm
    state = opened(bank)
    assert state.problems() == ()
    served = state.certificate("ill").body
    with caplog.at_level(logging.INFO, "scaffold.publish"):
        hurt(bank.out / "pki/ill" / file)
        for _ in range(100):
            bank.later(seconds=1)
            state.refresh(bank.now)
    told = [one.fields for one in caplog.records if one.message == "problem" and one.fields["part"] == part]
    assert [one["address"] for one in told] == ["ca.ill"], "once, and of this CA"
    assert why in told[0]["why"]
    assert {one.ca for one in state.problems()} == {"ill"}
    works(bank, state)
    assert state.certificate("ill").body == served, "what was known of it stays"
    assert state.crl("ill") is not None


def test_an_ill_ca_keeps_no_publisher_from_starting(bank, harm):
    file, hurt, part, why = harm
    hurt(bank.out / "pki/ill" / file)
    state = opened(bank)
    assert (part, True) in {(one.part, why in one.why) for one in state.problems()}
    works(bank, state)


def test_one_that_gets_well_is_told_and_answers_again(bank, caplog):
    state, key = opened(bank), bank.out / "pki/ill/ca.key"
    good = key.read_bytes()
    damage(key)
    state.refresh(bank.now)
    assert state.problems()
    key.write_bytes(good)
    with caplog.at_level(logging.INFO, "scaffold.publish"):
        state.refresh(bank.now)
    assert "problem over" in caplog.text
    assert state.problems() == ()
    works(bank, state, "ill", "patient")


def test_a_damaged_crl_is_signed_anew_and_served_meanwhile(bank):
    state, path = opened(bank), bank.out / "pki/ill/crl.pem"
    before = crl.load(path.read_bytes())
    damage(path)
    state.refresh(bank.now)
    after = crl.load(path.read_bytes())
    assert crl.number(after) == crl.number(before) + 1
    assert state.crl("ill").body == crl.to_der(after)
    assert state.problems() == ()


def test_a_crl_of_another_ca_is_not_served_for_it(bank):
    state, path = opened(bank), bank.out / "pki/ill/crl.pem"
    path.write_bytes((bank.out / "pki/well/crl.pem").read_bytes())
    state.refresh(bank.now)
    assert crl.signed_by(crl.load(path.read_bytes()), bank.certificate("pki/ill/ca.crt"))


def test_where_it_cannot_sign_another_it_serves_none_of_another_ca(bank):
    """Whoever wrote that list says nothing of what this CA has revoked."""
    state = opened(bank)
    served = state.crl("ill").body
    (bank.out / "pki/ill/ca.key").unlink()
    (bank.out / "pki/ill/crl.pem").write_bytes((bank.out / "pki/well/crl.pem").read_bytes())
    state.refresh(bank.now)
    assert state.crl("ill").body == served
    assert opened(bank).crl("ill") is None
    assert any("is not signed by the key" in one.why for one in state.problems())


def test_without_its_key_a_responder_answers_until_its_certificate_ends(bank):
    state = opened(bank)
    (bank.out / "pki/ill/ca.key").unlink()
    leaf, issuer = bank.certificate("clients/patient/tls/cert.pem"), bank.certificate("pki/ill/ca.crt")
    bank.later(days=6)
    state.refresh(bank.now)
    assert ask(state, "ill", leaf, issuer, bank.now).status == "GOOD"
    bank.later(days=2)
    state.refresh(bank.now)
    assert ask(state, "ill", leaf, issuer, bank.now).status == "TRY_LATER"


def test_the_root_without_a_key_keeps_no_ca_below_it_from_signing(bank):
    """The next apply would replace both; until then who checks must find a valid list."""
    state = opened(bank)
    (bank.out / "pki/root/ca.key").unlink()
    before = crl.load((bank.out / "pki/well/crl.pem").read_bytes())
    bank.later(hours=13)
    state.refresh(bank.now)
    assert crl.number(crl.load((bank.out / "pki/well/crl.pem").read_bytes())) == crl.number(before) + 1
    works(bank, state)


def test_a_ca_whose_crl_cannot_be_written_keeps_no_other_from_signing(bank, monkeypatch, caplog):
    state, real = opened(bank), states.sign_alone

    def sign(one, *rest):
        if one.ca.name == "ill":
            raise OverflowError("nobody thought of this")
        return real(one, *rest)

    monkeypatch.setattr(states, "sign_alone", sign)
    bank.later(hours=13)
    state.refresh(bank.now)
    assert [(one.ca, one.part) for one in state.problems()] == [("ill", "signature")]
    works(bank, state)
    assert caplog.text.count("problem") == 1


def test_an_ocsp_responder_that_cannot_be_made_keeps_no_other_from_answering(bank, monkeypatch):
    real = states.SignAsApply.delegate

    def delegate(self, ca, *rest):
        if ca.name == "ill":
            raise ZeroDivisionError("nobody thought of this")
        return real(self, ca, *rest)

    monkeypatch.setattr(states.SignAsApply, "delegate", delegate)
    state = opened(bank)
    assert [(one.ca, one.part) for one in state.problems()] == [("ill", "responder")]
    works(bank, state)
    leaf, issuer = bank.certificate("clients/patient/tls/cert.pem"), bank.certificate("pki/ill/ca.crt")
    assert ask(state, "ill", leaf, issuer, bank.now).status == "TRY_LATER"
    monkeypatch.undo()
    bank.later(minutes=1)
    state.refresh(bank.now)
    assert ask(state, "ill", leaf, issuer, bank.now).status == "GOOD"
    assert state.problems() == ()


# --- The ledger -----------------------------------------------------------------------------------------------------


def damage_ledger(household) -> bytes:
    path = household.out / ".scaffold/ledger.jsonl"
    before = path.read_bytes()
    first, _, rest = before.partition(b"\n")
    path.write_bytes(first + b"\n{broken\n" + rest)
    return before


def test_a_damaged_ledger_leaves_what_was_known(bank):
    state = opened(bank)
    leaf, issuer = bank.certificate("clients/teller/tls/cert.pem"), bank.certificate("pki/well/ca.crt")
    before = damage_ledger(bank)
    state.refresh(bank.now)
    assert [(one.ca, one.part) for one in state.problems()] == [(None, "ledger"), (None, "signature")]
    assert ask(state, "well", leaf, issuer, bank.now).status == "GOOD"
    assert state.crl("well") is not None
    (bank.out / ".scaffold/ledger.jsonl").write_bytes(before)
    bank.later(minutes=1)
    state.refresh(bank.now)
    assert state.problems() == ()
    works(bank, state)


def test_a_publisher_that_starts_with_a_damaged_ledger_serves_lists_and_calls_nothing_good(bank):
    leaf, issuer = bank.certificate("clients/teller/tls/cert.pem"), bank.certificate("pki/well/ca.crt")
    before = damage_ledger(bank)
    state = opened(bank)
    assert state.crl("well") is not None
    assert ask(state, "well", leaf, issuer, bank.now).status == "TRY_LATER"
    (bank.out / ".scaffold/ledger.jsonl").write_bytes(before)
    bank.later(minutes=1)
    state.refresh(bank.now)
    assert ask(state, "well", leaf, issuer, bank.now).status == "GOOD"


def test_of_a_new_key_nothing_is_called_good_while_the_ledger_is_damaged(bank):
    state = opened(bank)
    shutil.rmtree(bank.out / "pki/well")
    bank.apply()
    leaf, issuer = bank.certificate("clients/teller/tls/cert.pem"), bank.certificate("pki/well/ca.crt")
    damage_ledger(bank)
    state.refresh(bank.now)
    assert ask(state, "well", leaf, issuer, bank.now).status == "TRY_LATER"


def test_of_a_new_certificate_over_the_same_key_what_was_known_stays(bank):
    state = opened(bank)
    bank.text = TWO.replace("well: {issuer: root,", "well: {issuer: root, path_length: 0,")
    bank.apply()
    leaf, issuer = bank.certificate("clients/teller/tls/cert.pem"), bank.certificate("pki/well/ca.crt")
    damage_ledger(bank)
    state.refresh(bank.now)
    assert ask(state, "well", leaf, issuer, bank.now).status == "GOOD"


@pytest.mark.parametrize("line", [{"serial": "no hex"}, {"reason": "boredom"}], ids=str)
def test_a_line_that_makes_no_sense_for_one_ca_is_its_problem_alone(bank, line):
    state = opened(bank)
    event = {"event": "revoked", "at": "2026-01-01T00:00:00+00:00", "ca": "ill", "serial": "1", "reason": "superseded"}
    with (bank.out / ".scaffold/ledger.jsonl").open("a") as ledger:
        ledger.write(json.dumps(event | line) + "\n")
    state.refresh(bank.now)
    assert ("ill", "ledger") in {(one.ca, one.part) for one in state.problems()}
    assert {one.ca for one in state.problems()} == {"ill"}
    works(bank, state)


def test_no_crl_is_signed_over_a_line_that_makes_no_sense(bank):
    """It may have revoked something: the next CRL would say that nobody is."""
    state = opened(bank)
    before = {ca: (bank.out / f"pki/{ca}/crl.pem").read_bytes() for ca in ("ill", "well")}
    event = {"event": "revoked", "at": "2026-01-01T00:00:00+00:00", "ca": "ill", "serial": "1", "reason": "boredom"}
    with (bank.out / ".scaffold/ledger.jsonl").open("a") as ledger:
        ledger.write(json.dumps(event) + "\n")
    bank.later(hours=13)
    state.refresh(bank.now)
    assert (bank.out / "pki/ill/crl.pem").read_bytes() == before["ill"]
    assert (bank.out / "pki/well/crl.pem").read_bytes() != before["well"]
    assert ("ill", "signature") in {(one.ca, one.part) for one in state.problems()}


def test_damaged_records_of_projects_are_no_business_of_the_publisher(bank):
    state = opened(bank)
    for path in (bank.out / ".scaffold").glob("projects*"):
        path.write_bytes(b"{broken\n")
    works(bank, state)
    assert state.problems() == ()


# --- What is told ---------------------------------------------------------------------------------------------------


def test_health_and_metrics_say_which_ca_is_ill_and_why(bank):
    state = opened(bank)
    application = Publisher(state, lambda: bank.now, state.problems).application()
    health = request(application, "/healthz")
    assert (health.status, health.text) == (200, "ok\n")
    assert "scaffold_publish_problem{" not in request(application, "/metrics").text
    (bank.out / "pki/ill/ca.key").unlink()
    state.refresh(bank.now)
    health = request(application, "/healthz")
    assert (health.status, health.text) == (503, "ca.ill: key: pki/ill/ca.key is not there\n")
    assert 'scaffold_publish_problem{ca="ill",part="key"} 1.0' in request(application, "/metrics").text
    assert str(bank.folder) not in health.text
    assert request(application, "/crl/ill.crl").status == request(application, "/crl/well.crl").status == 200


def test_a_ca_that_was_not_made_yet_is_no_problem(bank):
    bank.text = TWO.replace("servers:", "  later: {issuer: root}\nservers:")
    state = opened(bank)
    assert state.problems() == ()
    assert state.crl("later") is None
    bank.apply()
    state.refresh(bank.now)
    assert state.crl("later") is not None


def test_where_nothing_can_be_read_the_start_is_refused_with_the_reason(bank):
    for name in ("root", "ill", "well"):
        damage(bank.out / f"pki/{name}/ca.crt")
    with pytest.raises(PublishError, match=r"pki/root/ca\.crt is not a certificate"):
        opened(bank)


def test_an_adopted_ca_whose_file_is_damaged_takes_no_other_down(bank, tmp_path):
    shutil.copytree(bank.out / "pki/ill", tmp_path / "partner")
    shutil.copy(bank.out / "pki/root/ca.crt", tmp_path / "partner/root.crt")
    adopted = "existing: {certificate: partner/ca.crt, key: partner/ca.key, chain: partner/root.crt}"
    bank.text = TWO.replace("servers:", f"  partner: {{{adopted}}}\nservers:")
    bank.apply()
    state = opened(bank)
    damage(tmp_path / "partner/ca.key")
    bank.later(hours=13)
    state.refresh(bank.now)
    assert {one.ca for one in state.problems()} == {"partner"}
    works(bank, state)
