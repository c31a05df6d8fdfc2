"""A plan where private keys are away: what is missing of them is no difference, and all else is."""

from __future__ import annotations

import pytest

from scaffold.errors import StoreError, TopologyError
from scaffold.plan.make import Planned, look, plan_as_it_stands
from scaffold.store import files
from tests.unit.adopting import Adopting, Spec, make
from tests.unit.conftest import Household


def planned(household: Household) -> Planned:
    project = household.open()
    return plan_as_it_stands(look(project.topology, project.kinds, project.layout, household.now, keys_away=True))


def changed(household: Household) -> list[str]:
    return [str(change.address) for change in planned(household).plan.changes]


def lock_away(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Rights do not keep root out, who may run this: what the disk would say to others is said in its place."""
    read = files.read

    def without_rights(path: str) -> files.Found | None:
        if path.endswith(names):
            raise StoreError(f"cannot read {path}: Permission denied")
        return read(path)

    monkeypatch.setattr(files, "read", without_rights)


@pytest.fixture
def bank(household: Household) -> Household:
    household.apply()
    return household


def test_keys_that_are_missing_are_no_difference_and_a_certificate_is(bank: Household) -> None:
    for key in [*bank.out.rglob("ca.key"), *bank.out.rglob("key.pem")]:
        key.unlink()
    assert changed(bank) == []
    (bank.out / "clients/teller/tls/cert.pem").unlink()
    assert changed(bank) == ["client.teller.certificate"]
    assert "apply needs the private keys of ca.issuing: run it where they are" in map(str, planned(bank).plan.notes)


def test_keys_that_are_there_are_still_compared(bank: Household) -> None:
    other = bank.out / "servers/accounts/tls/key.pem"
    (bank.out / "clients/teller/tls/key.pem").write_bytes(other.read_bytes())
    assert changed(bank) == ["client.teller.certificate"]


def test_keys_that_may_not_be_read_are_away(bank: Household, monkeypatch: pytest.MonkeyPatch) -> None:
    lock_away(monkeypatch, "ca.key", "key.pem")
    assert changed(bank) == []
    with pytest.raises(StoreError, match="Permission denied") as refused:
        bank.plan()
    assert "scaffold plan --no-keys" in (refused.value.hint or "")


def test_the_key_of_an_existing_ca_is_away_too(household: Household) -> None:
    adopting = Adopting(household)
    adopting.bring(make(Spec()))
    adopting.apply()
    (household.folder / "ca.key").unlink()
    assert changed(household) == []
    with pytest.raises(TopologyError, match="is not there"):
        household.plan()


FILES = """
version: 1
name: bank
cas: {root: {}}
servers:
  db:
    template: files
    issuer: root
    listen: "127.0.0.1:5432"
    names: [db.internal]
    files: {combined: true, truststore: true, names: {cert.pem: server.crt, key.pem: server.key}%s}
"""


@pytest.fixture
def files_of_db(household: Household) -> Household:
    household.text = FILES % ""
    household.apply()
    return household


def test_files_with_a_key_in_them_are_away_with_the_key_and_others_are_not(files_of_db: Household) -> None:
    tls = files_of_db.out / "servers/db/tls"
    for name in ("combined.pem", "key.pem", "server.key"):
        (tls / name).unlink()
    assert changed(files_of_db) == []
    (tls / "server.crt").unlink()
    assert changed(files_of_db) == ["server.db.files"]


def test_files_with_a_key_in_them_that_may_not_be_read_are_away(
    files_of_db: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock_away(monkeypatch, "combined.pem", "server.key")
    assert changed(files_of_db) == []
    with pytest.raises(StoreError, match="Permission denied"):
        files_of_db.plan()


def test_whose_the_files_are_to_be_is_not_asked_for_in_a_clone(files_of_db: Household) -> None:
    files_of_db.text = FILES % ", chown: nobody-of-this-name"
    assert changed(files_of_db) == []
    with pytest.raises(TopologyError, match="there is no user nobody-of-this-name"):
        files_of_db.plan()


def test_a_key_that_is_away_has_no_rights_and_what_holds_one_follows_nothing(household: Household) -> None:
    household.text = """
version: 1
name: bank
cas: {root: {}}
servers:
  db: {template: files, listen: "127.0.0.1:8443", names: [localhost], files: {mode: "0640", combined: true}}
"""
    household.apply()
    key, combined = (household.out / "servers/db/tls" / name for name in ("key.pem", "combined.pem"))
    assert changed(household) == []
    key.chmod(0o600)
    assert "server.db.certificate" in changed(household)
    key.unlink()
    combined.unlink()
    (household.out / "pki/root/ca.key").unlink()
    assert changed(household) == []
    (household.out / "servers/db/tls/cert.pem").unlink()
    assert changed(household) == ["server.db.certificate"]
