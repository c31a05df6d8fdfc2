"""Who may read and write what holds secrets: folders and files, and whose they are."""

from __future__ import annotations

import os
import stat

import pytest

from scaffold.plan.model import Action
from scaffold.view.reasons import sentence
from tests.requirements import require
from tests.unit.conftest import Household

BANK = """
version: 1
name: bank
cas: {root: {key_password: {generate: true}}, issuing: {issuer: root}}
servers:
  accounts:
    {template: kestrel, issuer: issuing, listen: "127.0.0.1:8443", names: [localhost],
     pfx: {password: {generate: true}}}
clients:
  teller: {template: curl, issuer: issuing, calls: [accounts]}
"""
TLS, TRUST = "servers/accounts/tls", "server.accounts.trust"
ROOT = "ca.root.certificate"


@pytest.fixture
def bank(household: Household) -> Household:
    household.text = BANK
    household.apply()
    return household


def mode(household: Household, path: str) -> int:
    return stat.S_IMODE((household.out / path).stat().st_mode)


@pytest.mark.parametrize(
    ("path", "meant", "address"),
    [
        (TLS, 0o700, TRUST),
        ("clients/teller/tls", 0o700, "client.teller.trust"),
        (f"{TLS}/bundle.pfx", 0o600, TRUST),
        (f"{TLS}/pfx-password", 0o600, TRUST),
        (f"{TLS}/key.pem", 0o600, "server.accounts.certificate"),
        ("pki/root", 0o700, ROOT),
        ("pki/root/ca.key", 0o600, ROOT),
        ("pki/root/key-password", 0o600, ROOT),
    ],
)
def test_rights_that_are_too_wide_are_drift(path: str, meant: int, address: str, bank: Household) -> None:
    before = bank.files()
    assert mode(bank, path) == meant
    (bank.out / path).chmod(meant | 0o055)
    assert bank.planned() == {address: (Action.UPDATE, "rights")}
    reason = next(change.reasons[0] for change in bank.plan().changes)
    assert sentence(reason).startswith(f"{path} has the rights {meant | 0o055:04o}")
    bank.apply()
    assert mode(bank, path) == meant
    assert bank.files() == before
    assert bank.planned() == {}


@pytest.mark.parametrize("path", [".scaffold", ".scaffold/ledger.jsonl", ".scaffold/projects.jsonl"])
def test_records_that_everybody_may_write_to_are_a_note(path: str, bank: Household) -> None:
    (bank.out / path).chmod(0o777)
    (note,) = [str(note) for note in bank.plan().notes if "writable for every user" in str(note)]
    assert note.startswith(
        f"{path} is writable for every user, who can then change which certificates count as revoked"
    )
    assert note.endswith(f"chmod -R o-w {bank.out / '.scaffold'}")
    assert bank.planned() == {}
    (bank.out / path).chmod(0o700)
    assert not [note for note in bank.plan().notes if "writable for every user" in str(note)]


@pytest.mark.parametrize("path", ["", "pki", "servers", "servers/accounts"])
def test_a_folder_that_everybody_may_write_to_is_a_note(path: str, bank: Household) -> None:
    assert not [note for note in bank.plan().notes if "writable for every user" in str(note)]
    (bank.out / path).chmod(0o777)
    where = path or str(bank.out)
    (note,) = [str(note) for note in bank.plan().notes if "writable for every user" in str(note)]
    assert note.startswith(f"{where} is writable for every user")
    assert note.endswith(f"chmod o-w {where}")
    assert bank.planned() == {}


def test_what_belongs_to_another_user_is_told_and_left(bank: Household) -> None:
    require(hasattr(os, "geteuid") and os.geteuid() == 0, "root, who may give files away")
    os.chown(bank.out / TLS, 4711, -1)
    (bank.out / TLS).chmod(0o755)
    os.chown(bank.out / TLS / "key.pem", 4711, -1)
    assert bank.planned() == {}
    (note,) = [str(note) for note in bank.plan().notes if "belongs to" in str(note)]
    assert f"{TLS} (and 1 more like it) belongs to the user 4711" in note


def test_an_adopted_ca_keeps_its_folder_to_itself(bank: Household) -> None:
    (bank.folder / "partner.pem").write_bytes((bank.out / "pki/root/ca.crt").read_bytes())
    bank.text = bank.text.replace("issuing: {", "partner: {existing: {certificate: partner.pem}}, issuing: {")
    bank.apply()
    (bank.out / "pki/partner").chmod(0o755)
    assert bank.planned() == {"ca.partner.certificate": (Action.UPDATE, "rights")}
    bank.apply()
    assert mode(bank, "pki/partner") == 0o700
    assert bank.planned() == {}


def test_of_a_folder_of_secrets_that_is_open_to_all_it_is_not_told_as_well_that_it_should_be_closed(bank):
    """The plan closes it."""
    (bank.out / TLS).chmod(0o707)
    assert bank.planned() == {TRUST: (Action.UPDATE, "rights")}
    assert not any("writable for every user" in note.text for note in bank.plan().notes)
    (bank.out / "servers/accounts").chmod(0o757)
    assert [note.text for note in bank.plan().notes if "writable for every user" in note.text] != []
