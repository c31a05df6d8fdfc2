"""The last lines of status: which verb mends what is not fine."""

from __future__ import annotations

import json

from scaffold.plan.status import status
from scaffold.view.status import status_json, status_lines
from tests.unit.revoking import revoke


def last(household) -> str:
    found = status(household.prepare())
    return "".join(part for part, _ in list(status_lines(found, household.now))[-1])


def test_the_verb_that_mends_it_is_named(household):
    assert last(household) == "Nothing has been made yet: run `scaffold apply`."
    household.apply()
    assert last(household).startswith("Status: ")  # the twin: nothing is to be mended
    household.later(days=61)
    assert last(household) == "`scaffold renew` renews all that are due."
    household.text = household.text.replace("names: [localhost]", "names: [localhost, bank.test]")
    assert last(household).startswith("`scaffold plan` shows why")


def test_a_hold_is_offered_to_be_lifted_where_there_is_one(household):
    household.apply()
    revoke(household, "client.teller", "keyCompromise", replace=False)
    assert last_of_all(household) == "`scaffold renew ADDRESS` replaces a revoked certificate."
    revoke(household, "server.accounts", "certificateHold", replace=False)
    lifts = "`scaffold revoke server.accounts --release` lifts a hold"
    assert last_of_all(household) == f"`scaffold renew ADDRESS` replaces a revoked certificate, {lifts}."


def last_of_all(household) -> str:
    """What helps: the one line with a verb in it."""
    found = status(household.prepare())
    lines = ["".join(part for part, _ in line) for line in status_lines(found, household.now)]
    (helps,) = [line for line in lines if line.startswith("`scaffold renew")]
    return helps


def test_a_ledger_that_was_lost_is_told_to_people_and_programs(household):
    household.apply()

    def shown() -> tuple[str, list[str]]:
        found = status(household.prepare())
        lines = ["".join(part for part, _ in line) for line in status_lines(found, household.now)]
        return "\n".join(lines), json.loads(status_json(found))["notes"]

    assert shown()[1] == []
    assert "note:" not in shown()[0]
    (household.out / ".scaffold/ledger.jsonl").unlink()
    text, notes = shown()
    assert len(notes) == 2
    assert all(f"note: {note}" in " ".join(text.split()) for note in notes)


def test_who_answers_for_what_is_due_is_named(household):
    household.text = household.text.replace("teller: {", "teller: {owner: Branch systems, ")
    household.apply()

    def shown() -> list[str]:
        found = status(household.prepare())
        return ["".join(part for part, _ in line) for line in status_lines(found, household.now)]

    assert not [line for line in shown() if "Branch systems" in line]
    household.later(days=61)
    (line,) = [line for line in shown() if "Branch systems" in line]
    assert line.startswith("client.teller.certificate")
    assert line.endswith("owner: Branch systems")
    certificates = json.loads(status_json(status(household.prepare())))["certificates"]
    owners = {one["address"]: one["owner"] for one in certificates}
    assert owners["client.teller.certificate"] == "Branch systems"
    assert owners["server.accounts.certificate"] is None
