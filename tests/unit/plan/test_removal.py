"""What leaves the topology leaves the disk, and what keeps a person's secrets out of git stays with them."""

from __future__ import annotations

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
