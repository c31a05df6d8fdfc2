"""Status and texts of a plan."""

from __future__ import annotations

from datetime import timedelta

from scaffold.plan.status import State, status
from scaffold.plan.texts import texts


def states(household, within=None):
    found = status(household.prepare(), within)
    return {str(one.address): one.state for one in found.certificates}


def test_every_state(household):
    assert set(states(household).values()) == {State.MISSING}
    household.text = household.text.replace("calls: [accounts]", "calls: [accounts], fault: no-san")
    household.apply()
    server, client = "server.accounts.certificate", "client.teller.certificate"
    assert states(household) == {
        "ca.root.certificate": State.VALID,
        "ca.issuing.certificate": State.VALID,
        server: State.VALID,
        client: State.FAULT,
    }
    assert states(household, timedelta(days=91))[server] is State.DUE
    household.later(days=61)
    assert states(household)[server] is State.DUE
    household.later(days=61)
    assert states(household)[server] is State.EXPIRED
    (household.out / "servers/accounts/tls/cert.pem").write_bytes(b"damaged")
    assert states(household)[server] is State.UNREADABLE


def test_a_changed_topology_shows(household):
    household.apply()
    household.text = household.text.replace("names: [localhost]", "names: [localhost, bank.test]")
    assert states(household)["server.accounts.certificate"] is State.CHANGED


def test_the_text_of_a_change_is_shown_and_no_secret(tiny, change_kind):
    shown = list(texts(tiny.prepare()))
    assert {text.path for text in shown} == {
        "servers/accounts/README.md",
        "servers/accounts/run.sh",
        "servers/accounts/tls/ca.pem",
        "servers/accounts/tls/intermediates.pem",
    }
    tiny.apply()
    change_kind({"README.md": "two\n", "run.sh": "#!/bin/sh\n", "tls/list": "first\n"})
    (tiny.out / "servers/accounts/tls/key.pem").unlink()
    (text,) = texts(tiny.prepare())
    assert "-one\n+two\n" in text.unified()
