"""What a test session starts with is what apply would have made: a plan finds nothing to do with certificates."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from scaffold.pki.randomness import OPERATING_SYSTEM
from scaffold.plan.make import look, plan_all
from scaffold.store.layout import Layout
from scaffold.testing import certificates
from scaffold.topology.address import Part
from tests.unit.conftest import Household

MIXED = """
version: 1
name: bank
publish: http://127.0.0.1:9080
cas:
  root: {key: ec-p384}
  middle: {issuer: root, key: ed25519}
  issuing: {issuer: middle, name_constraints: {permitted: {dns: [localhost]}}}
  other: {revocation: {crl: 1h}}
servers:
  accounts: {template: python, issuer: issuing, listen: "127.0.0.1:8443", names: [localhost], check_revocation: crl}
  gate:
    template: nginx
    issuer: issuing
    listen: 127.0.0.1:8444
    names: [localhost]
    calls: [accounts]
    upstream: accounts
clients:
  teller: {template: python, issuer: issuing, calls: [accounts, gate], key: ec-p384}
  odd: {template: python, issuer: other, calls: [accounts]}
  mallory: {template: python, issuer: issuing, calls: [accounts], fault: expired}
  eve: {template: python, issuer: issuing, calls: [accounts], fault: wrong-ca}
"""
LATER = {Part.TRUST, Part.PROJECT}


def planned(household: Household) -> set[str]:
    project = household.open()
    plan = plan_all(look(project.topology, project.kinds, project.layout, household.now)).plan
    assert not [note for note in plan.notes if "state" in note.text]
    return {f"{change.address} {change.reasons[0]}" for change in plan.changes if change.address.part not in LATER}


@pytest.fixture
def mixed(household: Household) -> Household:
    household.text, household.now = MIXED, datetime.now(UTC).replace(microsecond=0)
    project = household.open()
    certificates.make(project.topology, project.layout, household.now, OPERATING_SYSTEM)
    return household


def test_a_plan_finds_certificates_and_crls_as_they_should_be(mixed: Household) -> None:
    assert planned(mixed) == set()


def test_an_apply_takes_them_over_as_they_are(mixed: Household) -> None:
    before = mixed.files()
    mixed.apply()
    after = mixed.files()
    assert {path for path, text in before.items() if after[path] != text} <= {
        path for path in before if path.endswith("tls/.gitignore")
    }
    assert mixed.planned() == {}


def test_the_plan_would_see_another(mixed: Household) -> None:
    (mixed.out / "clients/teller/tls/cert.pem").write_bytes((mixed.out / "clients/odd/tls/cert.pem").read_bytes())
    assert len(planned(mixed)) == 1


def test_keys_are_as_closed_as_those_of_an_apply(mixed: Household) -> None:
    keys = [path for path in mixed.out.rglob("*") if path.name in ("ca.key", "key.pem", "client-key.pem")]
    assert len(keys) == 4 + 7
    assert {path.stat().st_mode & 0o777 for path in keys} == {0o600}
    assert {path.parent.stat().st_mode & 0o777 for path in keys} == {0o700}


def test_no_password_guards_a_ca_of_a_test(household: Household, tmp_path: Path) -> None:
    household.text = MIXED.replace("{key: ec-p384}", "{key_password: {env: NOWHERE}}")
    t = certificates.without_passwords(household.open().topology)
    certificates.make(t, Layout(tmp_path / "out"), household.now, OPERATING_SYSTEM)
    assert b"ENCRYPTED" not in (tmp_path / "out/pki/root/ca.key").read_bytes()


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ("root: {key: ec-p384}", "root: {existing: {certificate: ca.pem, key: ca.key}}"),
        ("calls: [accounts, gate], key: ec-p384", "calls: [accounts, gate], csr: teller.csr"),
    ],
)
def test_what_others_made_is_left_to_apply(household: Household, was: str, becomes: str) -> None:
    household.text = MIXED
    assert certificates.is_made_here(household.open().topology)
    household.text = MIXED.replace(was, becomes)
    assert not certificates.is_made_here(household.open().topology)
