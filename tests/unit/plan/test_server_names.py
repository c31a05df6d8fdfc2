"""Whoever else has a certificate for a server's name is noted: it passes for that server at its callers."""

from __future__ import annotations

import pytest

from tests.unit.conftest import Household
from tests.unit.revoking import revoke

BANK = """
version: 1
name: bank
publish: http://127.0.0.1:9080
cas:
  root: {}
  issuing: {issuer: root, revocation: {crl: 1d}}
  apart: {}
servers:
  one: {template: python, issuer: issuing, listen: "127.0.0.1:8443", names: [a.internal]}
  two: {template: python, issuer: issuing, listen: "127.0.0.1:8444", names: [b.internal]}
clients:
  web: {template: python, issuer: issuing, calls: [one]}
"""


def said(household: Household) -> list[str]:
    return [str(note) for note in household.prepare().plan.notes if " can pose as " in str(note)]


def test_servers_with_names_of_their_own_are_told_apart(household: Household) -> None:
    household.text = BANK
    household.apply()
    assert said(household) == []


@pytest.mark.parametrize("name", ["a.internal", '"*.internal"', "A.Internal"])
def test_another_server_with_the_name_is_named(household: Household, name: str) -> None:
    household.text = BANK.replace("[b.internal]", f"[b.internal, {name}]")
    household.apply()
    assert said(household) == [
        "server.two has the name of server.one, a.internal: it can pose as it at client.web",
    ]


@pytest.mark.parametrize(
    ("of", "to"),
    [
        ("calls: [one]", "calls: [one, two]"),
        ("two: {template: python, issuer: issuing", "two: {template: python, issuer: apart"),
        ("[b.internal, a.internal]", '[b.internal, "*.a.internal"]'),
    ],
    ids=["both are called", "another root", "another wildcard"],
)
def test_nobody_is_named_who_passes_for_nobody_else(household: Household, of: str, to: str) -> None:
    household.text = BANK.replace("[b.internal]", "[b.internal, a.internal]").replace(of, to)
    assert said(household) == []


def test_the_machines_own_name_is_nobodys(household: Household) -> None:
    household.text = BANK.replace("a.internal", "localhost").replace("b.internal", "localhost")
    assert said(household) == []


def takes_over(household: Household, check: str = "") -> None:
    household.text = BANK.replace("calls: [one]", f"calls: [one]{check}")
    household.apply()
    household.text = household.text.replace("one: {", "gone: {", 1).replace("[b.internal]", "[a.internal]")
    household.text = household.text.replace("  gone: {", "  # gone: {").replace("calls: [one]", "calls: [two]")


def test_the_former_holder_of_a_name_is_named_until_its_certificate_has_ended(household: Household) -> None:
    takes_over(household)
    (note,) = said(household)
    assert note.startswith("server.two is called by a name that server.one had a certificate for, valid until ")
    assert "can pose as server.two at client.web; `scaffold revoke --serial " in note
    household.apply()
    assert said(household) == [note]
    household.later(days=91)
    assert said(household) == []


def test_once_revoked_it_is_named_where_nobody_looks(household: Household) -> None:
    takes_over(household)
    revoke(household, "server.one", "superseded", replace=False)
    (note,) = said(household)
    assert "scaffold revoke" not in note
    household.text = household.text.replace("calls: [two]", "calls: [two], check_revocation: crl")
    assert said(household) == []


def test_a_server_that_is_issued_another_certificate_is_no_former_holder(household: Household) -> None:
    household.text = BANK
    household.apply()
    household.text = BANK.replace("[a.internal]", "[a.internal, c.internal]")
    household.apply()
    assert said(household) == []
