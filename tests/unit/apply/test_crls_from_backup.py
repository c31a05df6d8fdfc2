"""A CA's side from a backup takes nothing back that a copy of its CRL has revoked since."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from scaffold.pki import crl as crls
from scaffold.plan.model import Action
from scaffold.view.reasons import sentence
from tests.unit.conftest import Household
from tests.unit.revoking import CHECKING, crl, listed, release, renew_due, revoke, serial, verdict

LEDGER, CRL, COPY = ".scaffold/ledger.jsonl", "pki/issuing/crl.pem", "servers/accounts/tls/crl.pem"


@pytest.fixture
def bank(household: Household) -> Household:
    household.text = CHECKING
    household.apply()
    shutil.copytree(household.out, household.folder / "backup")
    household.later(minutes=1)
    return household


def put_back(bank: Household, *paths: str) -> None:
    for path in paths:
        shutil.copy(bank.folder / "backup" / path, bank.out / path)


def stolen(bank: Household, reason: str = "keyCompromise") -> tuple[str, Path]:
    """The teller's certificate, and a thief's copy; it is revoked here, and not in the backup."""
    taken, number = shutil.copy(bank.out / "clients/teller/tls/cert.pem", bank.folder / "stolen.pem"), serial(bank)
    revoke(bank, reason=reason)
    return number, taken


def test_a_copy_that_knows_more_has_the_crl_signed_again(bank: Household) -> None:
    number, taken = stolen(bank)
    put_back(bank, LEDGER, CRL)
    (change,) = (change for change in bank.plan().changes if str(change.address) == "ca.issuing.crl")
    assert change.action is Action.UPDATE
    assert COPY in sentence(change.reasons[0])
    assert number in sentence(change.reasons[0])
    bank.apply()
    assert listed(bank) == {number: "keyCompromise"}
    assert crls.number(crl(bank)) == 3
    assert "revoked" in verdict(bank, taken)
    assert "ca.issuing.crl" not in bank.planned()


def test_the_next_signature_that_is_due_loses_nothing(bank: Household) -> None:
    number, taken = stolen(bank)
    put_back(bank, LEDGER, CRL)
    bank.later(days=46)
    renew_due(bank)
    assert number in listed(bank)
    assert crls.number(crl(bank)) == 3
    assert "revoked" in verdict(bank, taken)


@pytest.mark.parametrize("of_another", ["pki/root/crl.pem", None])
def test_another_s_crl_in_its_place_or_none_loses_nothing(of_another: str | None, bank: Household) -> None:
    number, _ = stolen(bank)
    put_back(bank, LEDGER)
    (bank.out / CRL).unlink()
    if of_another is not None:
        shutil.copy(bank.out / of_another, bank.out / CRL)
    bank.apply()
    assert listed(bank) == {number: "keyCompromise"}
    assert crls.number(crl(bank)) == 3


def test_an_older_copy_asks_for_nothing(bank: Household) -> None:
    stolen(bank, "certificateHold")
    held = (bank.out / COPY).read_bytes()
    release(bank)
    (bank.out / COPY).write_bytes(held)
    assert "ca.issuing.crl" not in bank.planned()


def test_a_copy_by_another_key_asks_for_nothing(bank: Household) -> None:
    stolen(bank)
    put_back(bank, LEDGER, CRL)
    (root, *_) = crls.load_all((bank.out / COPY).read_bytes())
    (bank.out / COPY).write_bytes(crls.to_pem(root) if root.issuer != crl(bank).issuer else b"")
    bank.apply()
    assert listed(bank) == {}
