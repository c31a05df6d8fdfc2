"""The plan as a person reads it."""

from __future__ import annotations

import io

import pytest

from scaffold.plan.model import Action, Change, Plan
from scaffold.plan.reasons import Reason, ReasonCode
from scaffold.topology.address import Address
from scaffold.topology.notes import Note
from scaffold.view.plan import plan_lines, summary_line
from scaffold.view.terminal import show

MISSING = Reason(ReasonCode.MISSING, "x")
SANS = Reason(ReasonCode.SANS, found="DNS:a", wanted="DNS:b")
EDITED = Reason(ReasonCode.EDITED, "servers/accounts/README.md", wanted="README.md.merge")


def change(address: str, action: Action = Action.CREATE, *reasons: Reason) -> Change:
    return Change(Address.parse(address), action, reasons or (MISSING,))


def text(plan: Plan, **options: bool) -> str:
    stream = io.StringIO()
    show(plan_lines(plan, **options), stream)
    return stream.getvalue()


def test_symbols_are_aligned_and_every_reason_is_kept() -> None:
    plan = Plan(
        "bank",
        (
            change(
                "ca.root.certificate", Action.REPLACE, Reason(ReasonCode.KEY_TYPE, found="rsa-2048", wanted="ec-p256")
            ),
            change(
                "server.accounts.certificate", Action.UPDATE, SANS, Reason(ReasonCode.ISSUER_KEY, of=Address.ca("root"))
            ),
            change("server.accounts.project", Action.CONFLICT, EDITED),
        ),
        notes=(Note(None, "the root's key is 2,048 bits"),),
    )
    assert text(plan) == (
        "  ~ update   -/+ replace   ! conflict\n"
        "  -/+ ca.root.certificate          the key is rsa-2048, the topology says ec-p256\n"
        "    ~ server.accounts.certificate  the names are DNS:a, the topology says DNS:b\n"
        "                                   the key of its issuer ca.root is new\n"
        "    ! server.accounts.project      README.md: your edit and a change of the template conflict; both are "
        "written to README.md.merge\n\n"
        "note: the root's key is 2,048 bits\n\n"
        "Plan: 1 to update, 1 to replace, 1 in conflict.\n"
    )


def test_of_one_symbol_the_last_line_says_what_it_means() -> None:
    assert text(Plan("bank", (change("ca.root.certificate", Action.RENEW, SANS),))).splitlines() == [
        "  ↻ ca.root.certificate  the names are DNS:a, the topology says DNS:b", "", "Plan: 1 to renew.",
    ]  # fmt: skip


def test_nothing_to_do_is_one_line() -> None:
    assert text(Plan("bank")) == "Nothing to do: bank is up to date.\n"


def test_a_thousand_alike_are_counted_unless_all_are_asked_for() -> None:
    plan = Plan("bank", tuple(change(f"server.s{n}.certificate") for n in range(1000)))
    assert text(plan) == (
        "  + server.*.certificate  1,000 (s0, s1, s2, …): x is not there\n"
        "  `scaffold plan --all` shows each change.\n"
        "\n"
        "Plan: 1,000 to create.\n"
    )
    assert len(text(plan, all_changes=True).splitlines()) == 1002


def test_a_few_alike_are_shown_each() -> None:
    assert "--all" not in text(Plan("bank", tuple(change(f"server.s{n}.certificate") for n in range(5))))


def test_of_many_that_differ_in_details_the_first_are_shown_and_the_others_counted() -> None:
    due = [
        change(f"server.s{n}.certificate", Action.RENEW, Reason(ReasonCode.DUE, found=f"day {n}", wanted="today"))
        for n in range(100)
    ]
    short = text(Plan("bank", tuple(due)))
    assert short.count("is due since today") == 4
    assert "    … and 96 more of server.*.certificate, with other details\n  `scaffold plan --all`" in short


def test_its_own_name_in_a_path_makes_no_change_another() -> None:
    new = [
        change(f"server.s{n}.project", Action.CREATE, Reason(ReasonCode.NO_PROJECT, f"servers/s{n}")) for n in range(10)
    ]
    assert "  + server.*.project  10 (s0, s1, s2, …): servers/* has no project yet\n" in text(Plan("bank", tuple(new)))


def test_another_action_is_never_counted_among_others() -> None:
    changes = [change(f"server.s{n}.certificate") for n in range(10)]
    changes[5] = change("server.s5.certificate", Action.REPLACE)
    assert "  -/+ server.s5.certificate  x is not there\n" in text(Plan("bank", tuple(changes)))
    assert "9 (s0, s1, s2, …)" in text(Plan("bank", tuple(changes)))


def test_a_thousand_new_entities_are_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    parts = ("certificate", "client-certificate", "trust", "bundle", "staple", "project")
    changes = tuple(
        change(f"{role}.n{n}.{part}") for n in range(500) for role in ("server", "client") for part in parts
    )
    lines = text(Plan("bank", changes)).splitlines()
    assert len(lines) < 20
    assert max(map(len, lines)) <= 80


def test_a_different_reason_is_never_counted_away() -> None:
    alike = [change(f"server.s{n}.certificate") for n in range(50)]
    alike.insert(30, change("server.odd.certificate", Action.CREATE, Reason(ReasonCode.NOT_SELF_SIGNED)))
    assert "it is not self-signed" in text(Plan("bank", tuple(alike)))


def test_control_characters_do_not_reach_the_terminal() -> None:
    shown = text(
        Plan(
            "bank",
            (
                change(
                    "ca.a.certificate",
                    Action.UPDATE,
                    Reason(ReasonCode.SUBJECT, found="CN=\x1b[2J\u202eevil\nPlan: nothing"),
                ),
            ),
        )
    )
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert len(shown.splitlines()) == 3


def test_the_summary_counts_in_the_order_of_the_actions() -> None:
    plan = Plan("bank", (change("ca.b.crl", Action.DELETE), change("ca.d.crl", Action.CREATE)))
    assert summary_line(plan) == "Plan: 1 to create, 1 to delete."


def test_what_is_said_of_several_files_is_said_once_and_shortly() -> None:
    files = {"ca.pem": ReasonCode.AUTHORITY, "crl.pem": ReasonCode.CRL_PENDING, "chain.pem": ReasonCode.AUTHORITY}
    reasons = (Reason(code, f"servers/a/tls/{name}") for name, code in files.items())
    plan = Plan("bank", (change("server.a.trust", Action.UPDATE, *reasons),))
    assert text(plan).startswith(
        "  ~ server.a.trust  tls/ca.pem, tls/chain.pem: a CA that it holds gets a new certificate\n"
        "                    tls/crl.pem: a CRL is signed again\n"
    )


@pytest.mark.parametrize("columns", [50, 80, 110])
def test_two_long_values_are_wrapped_on_a_terminal_and_never_in_a_pipe(monkeypatch, columns) -> None:
    names = ", ".join(f"DNS:accounts-{n}.banking.internal" for n in range(6))
    reason = Reason(ReasonCode.SANS, found=names, wanted="x")
    plan = Plan("bank", (change("server.accounts.certificate", Action.UPDATE, reason),))
    assert len(text(plan).splitlines()) == 3
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = text(plan).splitlines()
    assert max(map(len, lines)) <= columns
    assert sum("the topology says x" in line for line in lines) == 1
    assert "".join(lines).count("banking.internal") == 6


def test_a_note_on_many_names_the_first_and_counts_the_others() -> None:
    notes = (
        *(Note(Address.server(f"s{n}"), "needs OpenSSL 3.5") for n in range(1000)),
        Note(Address.server("s1"), "is odd"),
    )
    short = text(Plan("bank", notes=notes))
    assert "note: server.s0 (and 999 more) needs OpenSSL 3.5\nnote: server.s1 is odd\n" in short
    assert text(Plan("bank", notes=notes), all_changes=True).count("note:") == 1001
