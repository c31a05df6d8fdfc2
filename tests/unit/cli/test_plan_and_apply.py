"""What another process writes between a plan and its execution: it is planned again, and nothing is lost."""

from __future__ import annotations

import pytest

from scaffold.cli.plan_and_apply import ATTEMPTS, carry_out
from scaffold.errors import Overtaken, PlanError


def overtaking(household, times: int):
    """Plans; the first `times` plans are overtaken by another process, which issues a lost certificate anew."""
    made = []

    def make():
        plan = household.plan()
        made.append(plan)
        if len(made) <= times:
            (household.out / "clients/teller/tls/cert.pem").unlink()
            household.apply()
        return plan

    return make, made


def test_an_overtaken_plan_is_made_again(household, capsys):
    household.apply()
    (household.out / "servers/accounts/tls/cert.pem").unlink()
    make, made = overtaking(household, 1)
    carry_out(household.open(), make, household.now, yes=True, json=False)
    assert len(made) == 2
    assert "planning again" in capsys.readouterr().err
    assert not household.plan().changes


def test_it_gives_up_where_it_is_overtaken_each_time(household):
    household.apply()
    make, made = overtaking(household, ATTEMPTS)

    def always_behind():
        (household.out / "servers/accounts/tls/cert.pem").unlink(missing_ok=True)
        return make()

    with pytest.raises(Overtaken):
        carry_out(household.open(), always_behind, household.now, yes=True, json=False)
    assert len(made) == ATTEMPTS


def test_what_needs_consent_is_not_done_without_a_terminal(household):
    household.apply()
    household.text = household.text.split("clients:")[0]
    with pytest.raises(PlanError, match="asked first"):
        carry_out(household.open(), household.plan, household.now, yes=False, json=False)
