"""What leaves the topology leaves the disk, and what keeps a person's secrets out of git stays with them."""

from __future__ import annotations

from scaffold.plan.model import Action
from scaffold.store.seen import SeenFile
from tests.unit.conftest import Household

WITHOUT = """
version: 1
name: bank
cas: {root: {}, issuing: {issuer: root}}
servers:
  accounts: {template: python, issuer: issuing, listen: "127.0.0.1:8443", names: [localhost]}
"""


def test_a_folder_of_secrets_goes_whole(household: Household) -> None:
    household.apply()
    household.text = WITHOUT
    household.apply()
    assert not (household.out / "clients" / "teller").exists()


def test_where_a_file_of_a_person_stays_its_ignore_file_does(household: Household) -> None:
    household.apply()
    tls = household.out / "clients" / "teller" / "tls"
    (tls / "combined.pem").write_bytes((tls / "key.pem").read_bytes())
    household.text = WITHOUT
    household.apply()
    assert sorted(path.name for path in tls.iterdir()) == [".gitignore", "combined.pem"]


def test_every_removal_asks_and_says_what_it_has_seen(household: Household) -> None:
    """A topology of which half is missing, by a slip of an editor or of git, must not empty the folder."""
    household.apply()
    household.text = "version: 1\nname: bank\ncas: {root: {}}\n"
    deleted = [change for change in household.plan().changes if change.action is Action.DELETE]
    assert {str(change.address.entity) for change in deleted} == {"server.accounts", "client.teller", "ca.issuing"}
    assert all(change.asks for change in deleted)
    for change in deleted:
        assert [one.path for one in change.seen] == list(change.paths)
        assert all(isinstance(one, SeenFile) and one.sha256 is not None for one in change.seen)


def test_what_a_person_has_edited_stays(household: Household) -> None:
    household.apply()
    readme = household.out / "clients" / "teller" / "README.md"
    readme.write_text("notes of mine")
    household.text = WITHOUT
    household.apply()
    assert readme.read_text() == "notes of mine"
    assert not (readme.parent / "tls").exists()


def test_the_key_of_a_ca_that_was_never_made_here_stays(household: Household) -> None:
    """Somebody put it there: nothing is known of it, and nobody could bring it back."""
    household.apply()
    (household.out / "pki" / "offline").mkdir()
    for name in ("ca.key", "ca.crt"):
        (household.out / "pki" / "offline" / name).write_text("precious")
    assert household.planned() == {}
