"""Where the servers that somebody calls lead to several roots, each has a file of its own roots."""

from __future__ import annotations

from pathlib import Path

from cryptography import x509

from scaffold.plan.model import Action
from tests.unit.conftest import Household

TWO_ROOTS = """
version: 1
name: bank
cas: {ours: {}, theirs: {}}
servers:
  accounts: {template: python, issuer: ours, listen: "127.0.0.1:8443", names: [localhost], calls: [ledger, rates]}
  ledger: {template: python, issuer: theirs, listen: "127.0.0.1:8444", names: [localhost]}
  rates: {template: python, issuer: ours, listen: "127.0.0.1:8445", names: [localhost]}
clients:
  teller: {template: python, issuer: ours, calls: [accounts, ledger]}
"""


def roots(tls: Path, pattern: str) -> dict[str, set[str]]:
    return {
        path.name: {one.subject.rfc4514_string() for one in x509.load_pem_x509_certificates(path.read_bytes())}
        for path in tls.glob(pattern)
    }


def test_each_file_holds_the_roots_of_one_server(household: Household) -> None:
    household.text = TWO_ROOTS
    household.apply()
    assert roots(household.out / "clients/teller/tls", "ca*.pem") == {
        "ca.pem": {"CN=ours", "CN=theirs"},
        "ca.accounts.pem": {"CN=ours"},
        "ca.ledger.pem": {"CN=theirs"},
    }
    assert roots(household.out / "servers/accounts/tls", "client-ca*.pem") == {
        "client-ca.pem": {"CN=ours", "CN=theirs"},
        "client-ca.ledger.pem": {"CN=theirs"},
        "client-ca.rates.pem": {"CN=ours"},
    }
    assert household.plan().changes == ()


def test_they_are_public_and_kept_in_git(household: Household) -> None:
    household.text = TWO_ROOTS
    household.apply()
    ignored = (household.out / "clients/teller/tls/.gitignore").read_text().splitlines()
    assert {"!/ca.pem", "!/ca.accounts.pem", "!/ca.ledger.pem"} <= set(ignored)


def test_what_was_written_into_one_is_put_right(household: Household) -> None:
    household.text = TWO_ROOTS
    household.apply()
    tls = household.out / "clients/teller/tls"
    (tls / "ca.ledger.pem").write_bytes((tls / "ca.pem").read_bytes())
    assert household.planned() == {"client.teller.trust": (Action.UPDATE, "content")}
    household.apply()
    assert roots(tls, "ca.ledger.pem") == {"ca.ledger.pem": {"CN=theirs"}}


def test_with_one_root_again_they_go(household: Household) -> None:
    household.text = TWO_ROOTS
    household.apply()
    household.text = TWO_ROOTS.replace("issuer: theirs", "issuer: ours")
    household.apply()
    assert set(roots(household.out / "clients/teller/tls", "ca*.pem")) == {"ca.pem"}
    assert set(roots(household.out / "servers/accounts/tls", "client-ca*.pem")) == {"client-ca.pem"}
    assert household.plan().changes == ()


def test_they_go_with_their_project(household: Household) -> None:
    household.text = TWO_ROOTS
    household.apply()
    household.text = TWO_ROOTS.partition("clients:")[0]
    household.apply()
    assert not (household.out / "clients/teller").exists()
