"""Two people put a certificate on hold, in two copies of the state: each lifts the hold that this one saw."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.unit.conftest import Household
from tests.unit.revoking import CHECKING, known, listed, release, revoke, serial

LEDGER = ".scaffold/ledger.jsonl"


@pytest.fixture
def bank(household: Household) -> Household:
    household.text = CHECKING
    household.apply()
    household.later(minutes=1)
    return household


def copied(bank: Household) -> Household:
    folder = bank.folder / "other"
    shutil.copytree(bank.out, folder / "bank")
    return Household(folder, bank.text, bank.now)


def merge(ours: Household, theirs: Household) -> None:
    """As Git's union merge does: the lines of the one, then those that the other has added."""
    path = ours.out / LEDGER
    before = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*before, *(line for line in _lines(theirs) if line not in before)]))


def _lines(household: Household) -> list[str]:
    return Path(household.out / LEDGER).read_text().splitlines(keepends=True)


@pytest.mark.parametrize("released_last", [True, False])
def test_a_hold_that_another_has_set_outlives_the_release_of_ones_own(released_last: bool, bank: Household) -> None:
    number, other = serial(bank), copied(bank)
    revoke(bank, reason="certificateHold")
    other.later(minutes=5)
    revoke(other, reason="certificateHold")
    bank.later(minutes=10)
    release(bank)
    assert number not in listed(bank)
    if released_last:
        merge(other, bank)
        shutil.copy(other.out / LEDGER, bank.out / LEDGER)
    else:
        merge(bank, other)
    held = known(bank).revoked["issuing", number]
    assert held.on_hold
    assert held.at == other.now.replace(microsecond=0)
    bank.apply()
    assert listed(bank) == {number: "certificateHold"}
    assert any("is on hold since" in str(note) for note in bank.plan().notes)
    release(bank)
    assert listed(bank) == {}


def test_who_sees_both_holds_lifts_both(bank: Household) -> None:
    number, other = serial(bank), copied(bank)
    revoke(bank, reason="certificateHold")
    other.later(minutes=5)
    revoke(other, reason="certificateHold")
    merge(bank, other)
    assert len(known(bank).revoked["issuing", number].holds) == 2
    bank.later(minutes=10)
    release(bank)
    assert ("issuing", number) not in known(bank).revoked
    assert listed(bank) == {}


def test_a_release_of_an_earlier_version_lifts_what_was_there(bank: Household) -> None:
    number = serial(bank)
    revoke(bank, reason="certificateHold")
    release(bank)
    path = bank.out / LEDGER
    lines = path.read_text()
    assert '"holds"' in lines
    path.write_text(lines.replace('"holds"', '"unknown"'))
    assert ("issuing", number) not in known(bank).revoked
