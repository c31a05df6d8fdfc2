"""What is blamed where servers do not come up: what differs from the topology, if that is all there is to say."""

from __future__ import annotations

import pytest

from scaffold.cli.running import blaming_drift
from scaffold.errors import NotStarted, PortTaken, StoreError, VerifyError
from scaffold.plan.model import Plan
from tests.unit.conftest import Household

RESTORES = "`scaffold plan --diff` shows it, `scaffold apply` restores it"


@pytest.fixture
def drifted(tiny: Household) -> Household:
    """A project whose key is gone, and whose list was edited."""
    tiny.apply()
    (tiny.out / "servers/accounts/tls/key.pem").unlink()
    (tiny.out / "servers/accounts/tls/list").write_text("x")
    return tiny


def no_plan() -> Plan:
    raise StoreError("no plan can be made")


def never() -> Plan:
    raise AssertionError("a plan takes its time, and was not needed")


@pytest.mark.parametrize(("hint", "otherwise"), [(None, ""), ("see its own output", "; otherwise see its own output")])
def test_what_differs_is_named_before_what_else_helps(drifted: Household, hint: str | None, otherwise: str) -> None:
    with pytest.raises(VerifyError) as raised, blaming_drift(drifted.plan):
        raise NotStarted("it ended", hint=hint)
    differ = "server.accounts.certificate, server.accounts.trust differ from the topology"
    assert (raised.value.message, raised.value.hint) == ("it ended", f"{differ}: {RESTORES}{otherwise}")


def test_where_nothing_differs_or_no_plan_can_be_made_the_error_stays(tiny: Household) -> None:
    tiny.apply()
    for plan in (tiny.plan, no_plan):
        with pytest.raises(VerifyError) as raised, blaming_drift(plan):
            raise NotStarted("it ended", hint="see its own output")
        assert raised.value.hint == "see its own output"


def test_nothing_is_planned_for_a_good_start_or_a_port_that_is_taken() -> None:
    with blaming_drift(never):
        pass
    with pytest.raises(PortTaken), blaming_drift(never):
        raise PortTaken("it is taken", hint="stop the program")
    with pytest.raises(VerifyError), blaming_drift(never):
        raise VerifyError("no such address", hint="known: server.api")
