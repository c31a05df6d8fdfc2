"""What an intent brings with it, where time asks for the same already."""

from __future__ import annotations

import pytest

from scaffold.plan.intents import Renew
from scaffold.plan.model import Action
from scaffold.plan.plan_subset import plan_intents
from scaffold.topology.address import Address
from tests.unit.conftest import BANK, Household


@pytest.mark.parametrize("asked", ["server.accounts", "server.accounts.certificate"])
def test_what_is_due_already_is_renewed_when_it_is_asked_for(household: Household, asked: str) -> None:
    household.apply()
    household.later(days=75)
    planned = plan_intents(household.look(), [Renew(Address.parse(asked))])
    renewed = [str(one.address) for one in planned.plan.changes if one.action is Action.RENEW]
    assert renewed == ["server.accounts.certificate"]
    household.carry_out(planned)
    assert "server.accounts.certificate" not in household.planned()


def test_its_bundle_follows(household: Household) -> None:
    bundled = "names: [localhost], pfx: {password: {generate: true}}}"
    household.text = BANK.replace(
        "template: python, issuer: issuing, listen", "template: kestrel, issuer: issuing, listen"
    )
    household.text = household.text.replace("names: [localhost]}", bundled)
    household.apply()
    household.later(days=75)
    planned = plan_intents(household.look(), [Renew(Address.parse("server.accounts"))])
    assert {"server.accounts.certificate", "server.accounts.bundle"} <= {
        str(one.address) for one in planned.plan.changes
    }


def test_what_the_topology_has_come_to_ask_for_waits_for_apply(household: Household) -> None:
    household.apply()
    household.text = BANK.replace("names: [localhost]", "names: [localhost, other.internal]")
    planned = plan_intents(household.look(), [Renew(Address.parse("client.teller"))])
    assert [str(one.address) for one in planned.plan.changes] == ["client.teller.certificate"]
