"""A CA with two keys is published twice: each has its certificate, its CRL and its OCSP responder."""

from __future__ import annotations

import pytest

from scaffold.pki import bundles, crl
from tests.unit.apply.test_generations import INTRODUCED, SWITCHED, carried_out
from tests.unit.publish.lab import BANK, ask
from tests.unit.publish.test_state import opened


@pytest.fixture
def bank(household):
    household.text = BANK
    household.apply()
    carried_out(household, "issuing", INTRODUCED)
    return household


def test_each_generation_has_its_certificate_and_its_crl(bank):
    state = opened(bank)
    for name, folder in (("issuing", "pki/issuing"), ("issuing.2", "pki/issuing/2")):
        certificate = bank.certificate(f"{folder}/ca.crt")
        assert state.certificate(name).body == bundles.der(certificate)
        assert crl.signed_by(crl.load(state.crl(name).body), certificate)
    assert state.crl("issuing.3") is None
    assert state.problems() == ()


def test_each_generation_answers_for_what_its_key_has_signed(bank):
    first, state = leaf(bank), opened(bank)
    carried_out(bank, "issuing", SWITCHED)
    state.refresh(bank.now)
    second = leaf(bank)
    of_first, of_second = (bank.certificate(f"pki/issuing{folder}/ca.crt") for folder in ("", "/2"))
    assert ask(state, "issuing", first, of_first, bank.now).status == "GOOD"
    assert ask(state, "issuing.2", second, of_second, bank.now).status == "GOOD"
    assert ask(state, "issuing.2", first, of_second, bank.now).status == "UNKNOWN"


def test_a_generation_that_comes_while_it_runs_is_seen(household):
    household.text = BANK
    household.apply()
    state = opened(household)
    assert state.certificate("issuing.2") is None
    carried_out(household, "issuing", INTRODUCED)
    assert state.refresh(household.now)
    assert state.certificate("issuing.2") is not None


def test_what_is_wrong_with_one_generation_is_no_business_of_the_other(bank):
    state = opened(bank)
    (bank.out / "pki/issuing/2/ca.key").unlink()
    state.refresh(bank.now)
    assert [(one.ca, one.part) for one in state.problems()] == [("issuing@2", "key")]
    assert state.authorities()["issuing"].issuer is not None


def test_other_folders_beside_a_cas_files_are_no_generations(bank):
    for name in ("1", "02", "old", "2x", "٣"):
        (bank.out / "pki/issuing" / name).mkdir()
    state = opened(bank)
    assert set(state.authorities()) == {"root", "issuing", "issuing.2"}


def leaf(bank):
    return bundles.load_certificates((bank.out / "clients/teller/tls/cert.pem").read_bytes())[0]
