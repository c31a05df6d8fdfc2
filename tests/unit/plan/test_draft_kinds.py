"""Which template a draft names: by what the templates declare, and with the reason where it is not the usual one."""

from __future__ import annotations

import pytest

from scaffold.kinds.catalogue import to_choose_from
from scaffold.plan.draft_kinds import Caller, fitting, identity_for
from tests.unit.elsewhere import Elsewhere

SERVERS, CLIENTS = to_choose_from("server"), to_choose_from("client")
URI, DNS, SUBJECT = "spiffe://acme/a", "dns:a.example", "subject:CN=a"


@pytest.fixture(scope="module")
def plain() -> Elsewhere:
    """Whose CAs have no key usage."""
    return Elsewhere("Plain", by_the_letter=False)


def test_the_suggested_one_is_first() -> None:
    usual = fitting(SERVERS, [(Elsewhere().root,)], [Caller("CN=a", (URI,), True), Caller("CN=b", (DNS,), True)])
    assert (usual.kind.name, usual.instead, usual.objections) == ("python", None, ())
    assert fitting(CLIENTS, []).kind.name == "python"


def test_where_a_ca_is_not_by_the_letter_none_that_is_strict_is_taken(plain: Elsewhere) -> None:
    for kinds in (SERVERS, CLIENTS):
        found = fitting(kinds, [(plain.intermediate, plain.root), (plain.root,)])
        assert "strict_x509" not in found.kind.capabilities.supports
        assert (
            found.instead
            == "not python: it refuses certificates below CN=Plain R1, which has no key usage (RFC 5280 4.2.1.3)"
        )
        assert found.objections == ()


def test_callers_who_have_a_subject_alone_are_known_by_it() -> None:
    found = fitting(SERVERS, [], [Caller("CN=b", (URI, SUBJECT), True), Caller("CN=a", (SUBJECT,), True)])
    assert "subject" in found.kind.capabilities.sees_callers_by
    assert found.instead == "not python: it cannot identify CN=a by its subject"
    assert identity_for(found.kind, (URI, SUBJECT)) == SUBJECT
    assert identity_for(SERVERS[0], (URI, SUBJECT)) == URI


def test_a_caller_that_says_no_purpose_needs_a_server_that_asks_for_none() -> None:
    found = fitting(SERVERS, [], [Caller("CN=a", (URI, SUBJECT), False)])
    assert "demands_eku" not in found.kind.capabilities.supports
    assert found.instead == "not python: it refuses CN=a, which has no extended key usage"


def test_what_none_takes_is_said(plain: Elsewhere) -> None:
    strict = [kind for kind in CLIENTS if "strict_x509" in kind.capabilities.supports]
    found = fitting(strict, [(plain.root,)])
    assert found.objections == (
        "it refuses certificates below CN=Plain Root, which has no key usage (RFC 5280 4.2.1.3)",
    )
    both = [Caller("CN=a", (URI,), True), Caller("CN=b", (SUBJECT,), True), Caller("CN=c", (SUBJECT,), True)]
    found = fitting(SERVERS, [], both)
    assert found.objections == ("it cannot identify CN=a by its URI",), "of several the one that objects to fewest"
