"""A CA with two keys is published twice: each has its certificate, its CRL and its OCSP responder."""

from __future__ import annotations

import pytest

from scaffold.errors import PkiError
from scaffold.pki import bundles, crl
from scaffold.publish import state as states
from scaffold.publish.state import SignAsApply, State
from scaffold.topology.generations import Generations, States
from tests.unit.apply.test_generations import INTRODUCED, OVER, SWITCHED, carried_out
from tests.unit.publish.lab import BANK, ask, delegates
from tests.unit.publish.test_state import crl_on_disk, opened


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


# --- What it signs --------------------------------------------------------------------------------------------------


def signing(household, states: States) -> State:
    """A publisher that knows which generations there are."""
    project = household.open()
    generations = Generations({"issuing": states})
    as_apply = SignAsApply(project.topology, project.layout, generations=lambda: generations)
    state = State(project.topology, project.layout, as_apply)
    state.open(household.now)
    return state


def numbers(household) -> list[int | None]:
    return [crl.number(crl_on_disk(household, folder)) for folder in ("issuing", "issuing/2")]


def test_it_signs_the_crls_of_all_that_are_trusted(bank):
    state = signing(bank, INTRODUCED)
    assert numbers(bank) == [1, 1]
    bank.later(hours=13)
    state.refresh(bank.now)
    assert numbers(bank) == [2, 2]
    assert state.problems() == ()
    for name, folder in (("issuing", "pki/issuing"), ("issuing.2", "pki/issuing/2")):
        served = crl.load(state.crl(name).body)
        assert crl.number(served) == 2
        assert crl.signed_by(served, bank.certificate(f"{folder}/ca.crt"))


def test_it_signs_none_of_what_is_retired(bank):
    carried_out(bank, "issuing", SWITCHED)
    carried_out(bank, "issuing", OVER)
    state = signing(bank, OVER)
    bank.later(hours=13)
    state.refresh(bank.now)
    assert numbers(bank) == [1, 2]


def test_it_asks_which_there_are_each_time(household):
    household.text = BANK
    household.apply()
    now = [Generations()]
    project = household.open()
    state = State(
        project.topology, project.layout, SignAsApply(project.topology, project.layout, generations=lambda: now[0])
    )
    state.open(household.now)
    carried_out(household, "issuing", INTRODUCED)
    now[0] = Generations({"issuing": INTRODUCED})
    household.later(hours=13)
    state.refresh(household.now)
    assert numbers(household) == [2, 2]


def test_a_generation_whose_crl_cannot_be_signed_keeps_the_other_from_nothing(bank, monkeypatch):
    state, real = signing(bank, INTRODUCED), states.sign_alone

    def sign(one, *rest):
        if one.number == 2:
            raise PkiError("its pen is dry")
        return real(one, *rest)

    monkeypatch.setattr(states, "sign_alone", sign)
    bank.later(hours=13)
    state.refresh(bank.now)
    assert numbers(bank) == [2, 1]
    assert [str(one) for one in state.problems()] == ["ca.issuing@2: signature: its pen is dry"]
    monkeypatch.undo()
    bank.later(minutes=1)
    state.refresh(bank.now)
    assert numbers(bank) == [2, 2]
    assert state.problems() == ()


def test_each_generation_has_a_responder_of_its_own_in_the_ledger(bank):
    opened(bank)
    made = {str(one.address): one for one in delegates(bank.out)}
    assert set(made) == {"ca.issuing.ocsp", "ca.issuing@2.ocsp"}
    subjects = {address: one.subject for address, one in made.items()}
    assert subjects["ca.issuing.ocsp"] == "CN=issuing OCSP responder"
    assert subjects["ca.issuing@2.ocsp"] == "CN=issuing G2 OCSP responder"
    assert {one.ca for one in made.values()} == {"issuing"}


def leaf(bank):
    return bundles.load_certificates((bank.out / "clients/teller/tls/cert.pem").read_bytes())[0]
