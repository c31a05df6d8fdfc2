"""The publisher of a reproducible topology: it answers on any day, and writes nothing back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from scaffold.apply import apply
from scaffold.pki.derived import Derived
from scaffold.pki.randomness import OPERATING_SYSTEM
from scaffold.publish.state import SignAsApply, State, signing
from scaffold.store.secrets import Secrets
from tests.cli.harness import snapshot
from tests.unit.conftest import Household
from tests.unit.publish.lab import BANK, ask

AT = datetime(2026, 1, 1, tzinfo=UTC)
LAB = BANK.replace("cas:", "reproducible: {seed: {env: SEED}, at: 2026-01-01}\ncas:").replace("crl: 1d", "crl: 50y")


@pytest.fixture
def lab(household: Household) -> Household:
    household.text = LAB
    apply(household.prepare(), Secrets({}), randomness=Derived(b"seed", "bank"))
    return household


@pytest.mark.parametrize("moment", [AT, AT + timedelta(days=40 * 365)], ids=["at", "past half of every life"])
def test_it_answers_and_writes_nothing(lab: Household, moment: datetime) -> None:
    before = snapshot(lab.out)
    project = lab.open()
    state = State(project.topology, project.layout, signing(project.topology, project.layout, OPERATING_SYSTEM))
    state.open(moment)
    assert state.problems() == ()
    leaf, ca = lab.certificate("clients/teller/tls/cert.pem"), lab.certificate("pki/issuing/ca.crt")
    assert ask(state, "issuing", leaf, ca, moment).status == "GOOD"
    assert state.crl("issuing") is not None
    assert snapshot(lab.out) == before


def test_any_other_topology_is_signed_for_as_apply_does(household: Household, tmp_path: Path) -> None:
    household.text = BANK
    project = household.open()
    assert isinstance(signing(project.topology, project.layout, OPERATING_SYSTEM), SignAsApply)
