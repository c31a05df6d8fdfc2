"""The plan as a person reads it."""

from __future__ import annotations

import io

from scaffold.plan.model import Action, Change, Plan, Reason
from scaffold.view.plan import plan_lines, summary_line
from scaffold.view.terminal import show


def change(address: str, action: Action = Action.CREATE, *messages: str) -> Change:
    return Change(address, action, tuple(Reason("code", message) for message in messages or ("is missing",)))


def text(plan: Plan, **options: bool) -> str:
    stream = io.StringIO()
    show(plan_lines(plan, **options), stream)
    return stream.getvalue()


def test_symbols_are_aligned_and_every_reason_is_kept() -> None:
    plan = Plan(
        "bank",
        (
            change("ca.root.certificate", Action.REPLACE, "key is rsa-2048, the topology says ec-p256"),
            change("server.accounts.certificate", Action.UPDATE, "names differ", "issuer's key changed"),
            change("server.accounts.project", Action.CONFLICT, "README.md was edited"),
        ),
        notes=("the root's key is 2,048 bits",),
    )
    assert text(plan) == (
        "  -/+ ca.root.certificate          key is rsa-2048, the topology says ec-p256\n"
        "    ~ server.accounts.certificate  names differ\n"
        "                                   issuer's key changed\n"
        "    ! server.accounts.project      README.md was edited\n"
        "\n"
        "note: the root's key is 2,048 bits\n"
        "\n"
        "Plan: 1 to update, 1 to replace, 1 in conflict.\n"
    )


def test_nothing_to_do_is_one_line() -> None:
    assert text(Plan("bank")) == "Nothing to do: bank is as the topology says.\n"


def test_a_thousand_alike_are_counted_unless_all_are_asked_for() -> None:
    plan = Plan("bank", tuple(change(f"server.s{n}.certificate") for n in range(1000)))
    short = text(plan)
    assert len(short.splitlines()) == 11
    assert "… and 992 more alike" in short
    assert short.endswith("Plan: 1,000 to create.\n")
    assert len(text(plan, all_changes=True).splitlines()) == 1002


def test_a_different_reason_is_never_counted_away() -> None:
    alike = [change(f"server.s{n}.certificate") for n in range(50)]
    alike.insert(30, Change("server.odd.certificate", Action.CREATE, (Reason("other", "has another reason"),)))
    assert "has another reason" in text(Plan("bank", tuple(alike)))


def test_control_characters_do_not_reach_the_terminal() -> None:
    shown = text(Plan("bank", (change("ca.a.certificate", Action.UPDATE, "CN=\x1b[2J\u202eevil\nPlan: nothing"),)))
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert len(shown.splitlines()) == 3


def test_the_summary_counts_in_the_order_of_the_actions() -> None:
    plan = Plan("bank", (change("a.b.c", Action.DELETE), change("a.d.c", Action.CREATE)))
    assert summary_line(plan) == "Plan: 1 to create, 1 to delete."
