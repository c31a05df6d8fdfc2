"""A CA's key that was made and is lost: no verb makes another unless a person has agreed."""

from __future__ import annotations

import shutil
from collections.abc import Iterable

import pytest

from scaffold.errors import PlanError
from scaffold.pki import crl as crls
from scaffold.pki import keys
from scaffold.plan.intents import Renew, Revoke
from scaffold.plan.model import Action, Work
from scaffold.plan.plan_subset import plan_due, plan_intents
from scaffold.topology.address import Address, Part, Role
from scaffold.view.reasons import sentence
from tests.unit.conftest import Household
from tests.unit.revoking import CHECKING, planned, want

TWO_ROOTS = """
version: 1
name: bank
cas:
  root: {}
  issuing: {issuer: root}
  other: {}
servers:
  accounts: {template: python, issuer: issuing, listen: "127.0.0.1:8443", names: [localhost]}
  shop: {template: python, issuer: other, listen: "127.0.0.1:8444", names: [localhost]}
clients:
  teller: {template: python, issuer: issuing, calls: [accounts]}
  buyer: {template: python, issuer: other, calls: [shop]}
"""


@pytest.fixture
def bank(household: Household) -> Household:
    household.text = TWO_ROOTS
    household.apply()
    return household


def lose(household: Household, paths: Iterable[str]) -> None:
    for path in paths:
        at = household.out / path
        shutil.rmtree(at) if at.is_dir() else at.unlink()


def cas(household: Household) -> dict[str, tuple[Action, bool, str]]:
    """Of each CA's change: its action, whether it asks, and its first reason."""
    return {
        str(change.address): (change.action, change.asks, change.reasons[0].code.code)
        for change in household.plan().changes
        if change.address.role is Role.CA and change.address.part is Part.CERTIFICATE
    }


@pytest.mark.parametrize(
    ("paths", "lost"),
    [
        (["pki/root"], {"ca.root.certificate"}),
        (["pki/root/ca.key"], {"ca.root.certificate"}),
        (["pki/issuing"], {"ca.issuing.certificate"}),
        (["pki", "servers", "clients"], {"ca.root.certificate", "ca.issuing.certificate", "ca.other.certificate"}),
    ],
)
def test_a_lost_key_is_a_replaced_ca_that_asks(paths: list[str], lost: set[str], bank: Household) -> None:
    lose(bank, paths)
    found = cas(bank)
    assert {address for address, change in found.items() if change == (Action.REPLACE, True, "key-missing")} == lost
    reason = next(change.reasons[0] for change in bank.plan().changes if str(change.address) in lost)
    assert "is another CA" in sentence(reason)
    assert "every certificate that it signed is refused until it is replaced" in sentence(reason)
    assert "backup" in sentence(reason)
    bank.apply()
    assert bank.plan().changes == ()


@pytest.mark.parametrize(
    ("paths", "lost"),
    [
        (["pki/root"], {"ca.root.certificate"}),
        (["pki/issuing"], {"ca.issuing.certificate"}),
        (["pki/other"], {"ca.other.certificate"}),
        (["pki"], {"ca.root.certificate", "ca.issuing.certificate", "ca.other.certificate"}),
        (["pki", "clients"], {"ca.root.certificate", "ca.issuing.certificate", "ca.other.certificate"}),
    ],
)
def test_a_ca_that_is_lost_with_the_ledger_asks_by_what_it_has_left(
    paths: list[str], lost: set[str], bank: Household
) -> None:
    lose(bank, [*paths, ".scaffold"])
    found = cas(bank)
    assert {address for address, change in found.items() if change == (Action.REPLACE, True, "key-missing")} == lost
    assert not any(change.work is Work.NEW_KEY for change in plan_due(bank.look()).planned.plan.changes)


def test_a_ca_that_joins_a_folder_without_a_ledger_asks_nobody(bank: Household) -> None:
    lose(bank, [".scaffold"])
    bank.text = bank.text.replace("  other: {}", "  other: {}\n  third: {}")
    assert cas(bank)["ca.third.certificate"] == (Action.CREATE, False, "missing")


def test_a_lost_certificate_alone_is_issued_over_its_key(bank: Household) -> None:
    before = keys.spki(bank.certificate("pki/root/ca.crt"))
    lose(bank, ["pki/root/ca.crt"])
    assert cas(bank)["ca.root.certificate"] == (Action.CREATE, False, "missing")
    bank.apply()
    assert keys.spki(bank.certificate("pki/root/ca.crt")) == before


def test_another_key_in_its_place_is_a_replaced_ca_too(bank: Household) -> None:
    lose(bank, ["pki/root/ca.crt"])
    shutil.copy(bank.out / "pki/other/ca.key", bank.out / "pki/root/ca.key")
    assert cas(bank)["ca.root.certificate"] == (Action.REPLACE, True, "key-mismatch")
    bank.apply()
    assert bank.plan().changes == ()


def test_a_ca_that_was_never_made_asks_nobody(household: Household) -> None:
    household.text = TWO_ROOTS
    assert set(cas(household).values()) == {(Action.CREATE, False, "missing")}


def test_a_kill_before_the_first_certificate_is_no_lost_key(
    household: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    household.text = TWO_ROOTS
    plan = household.prepare()

    def die(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("scaffold.issuers.local.LocalIssuer.issue", die)
        patched.setattr("scaffold.apply.authorities.self_signed", die)
        with pytest.raises(KeyboardInterrupt):
            household.carry_out(plan)
    (household.out / "pki/root/ca.key").unlink()  # the record was written first: the kill may have come before the key
    assert not any(change.asks for change in household.plan().changes)
    household.apply()
    assert household.plan().changes == ()


@pytest.mark.parametrize("lost", ["pki/issuing", "pki/issuing/ca.key", "pki/root"])
def test_what_is_due_elsewhere_is_renewed_and_nothing_else(lost: str, bank: Household) -> None:
    lose(bank, [lost])
    bank.later(days=61)
    due = plan_due(bank.look())
    assert due.waits_for == {lost.split("/")[1]}
    bank.carry_out(due.planned)
    assert not (bank.out / "pki" / lost.split("/")[1] / "ca.key").exists()
    renewed = {str(change.address) for change in due.planned.plan.changes if change.action is Action.RENEW}
    assert {"server.shop.certificate", "client.buyer.certificate"} <= renewed
    if lost == "pki/root":
        assert "client.teller.certificate" in renewed
        assert (bank.out / "clients/teller/tls/cert.pem").read_text().count("BEGIN CERTIFICATE") == 2


def test_a_renewal_that_is_asked_for_is_refused(bank: Household) -> None:
    lose(bank, ["pki/issuing"])
    for address in ("client.teller", "client.teller.certificate", "ca.issuing"):
        with pytest.raises(PlanError, match=r"ca\.issuing needs another key"):
            planned(bank, Renew(Address.parse(address)))
    assert {str(change.address) for change in planned(bank, Renew(Address.parse("client.buyer"))).changes} == {
        "client.buyer.certificate"
    }


def test_a_revocation_that_no_crl_could_say_is_refused(household: Household) -> None:
    household.text = CHECKING
    household.apply()
    lose(household, ["pki/issuing/ca.key"])
    with pytest.raises(PlanError, match=r"the key of ca\.issuing is not there"):
        planned(household, Revoke(Address.parse("client.teller"), crls.Reason.KEY_COMPROMISE))


def test_a_ca_whose_key_was_stolen_and_deleted_is_revoked(household: Household) -> None:
    household.text = CHECKING
    household.apply()
    lose(household, ["pki/issuing/ca.key"])
    plan = planned(household, Revoke(Address.parse("ca.issuing"), crls.Reason.CA_COMPROMISE))
    assert [str(change.address) for change in plan.changes][:2] == ["ca.issuing.certificate", "ca.root.crl"]
    assert any("must wait: ca.issuing needs another key" in str(note) for note in plan.notes)
    want(household, Revoke(Address.parse("ca.issuing"), crls.Reason.CA_COMPROMISE))
    assert not (household.out / "pki/issuing/ca.key").exists()
    assert "ca.issuing.certificate" in household.planned()


@pytest.mark.parametrize("ca", ["root", "issuing"])
def test_what_is_renewed_leaves_a_ca_that_is_to_change_as_it_stands(ca: str, bank: Household) -> None:
    """Another key type in the topology, not applied yet: nothing is due by it, and nothing is said of it."""
    before = "  root: {}" if ca == "root" else "{issuer: root}"
    bank.text = bank.text.replace(before, before.replace("}", ", key: ec-p384}").replace("{,", "{"), 1)
    assert cas(bank)[f"ca.{ca}.certificate"][:2] == (Action.REPLACE, True)
    assert plan_due(bank.look()).planned.plan.changes == ()
    renewed = plan_intents(bank.look(), [Renew(Address.parse("client.teller"))]).plan.changes
    assert {str(change.address.entity) for change in renewed} == {"client.teller"}
