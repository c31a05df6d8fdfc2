"""A verification at a glance: what a person reads first."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest

from scaffold.plan.model import Action, Change
from scaffold.plan.reasons import Reason, ReasonCode
from scaffold.topology.address import Address
from scaffold.verify.model import Check, Expected, Observed, Probe, Report, Unstarted
from scaffold.view.glance import IN_FULL, glance_lines
from scaffold.view.terminal import show
from tests.unit.view.reports import check, gone_wrong, shop, skipped

KINDS = {"api": "curious", "store": "plain"}


def text(*checks: Check, columns: int | None = 80, drift: tuple[Change, ...] = ()) -> str:
    stream = io.StringIO()
    show(glance_lines(Report(checks, drift), KINDS, columns), stream)
    return stream.getvalue()


def having(probe: Probe, client: str, new: Check | None = None) -> tuple[Check, ...]:
    """The shop's checks, in which one went wrong."""
    return tuple(
        (new or gone_wrong(one, Observed.ALLOWED)) if (one.probe, one.client) == (probe, client) else one
        for one in shop()
    )


ALL_IS_WELL = """\
✓ api  curious  13 passed
  lets in   web
  refuses   ops: not allowed
            late, though it is allowed: broken on purpose, or revoked
            4 forged: no certificate, foreign CA, expired, revoked
  controls  fresh certificate, forged headers ignored, health port
  callers   accept the true server, refuse 2 false ones

✓ store  plain  4 passed
  lets in   ops
  refuses   web, late: not allowed
            1 forged: no certificate

Callers and servers
  ✓ gets in   · refused, as it must be   ✗ failed   - not tried
                          api  store
  web                     ✓    ·
  late                    ·    ·
  ops                     ·    ✓
  no certificate          ·    ·
  any forged certificate  ·    -

Verify: 17 passed, 0 failed, 0 skipped.
"""


def test_a_block_a_server_says_who_gets_in_and_what_was_refused() -> None:
    assert text(*shop()) == ALL_IS_WELL


def test_several_callers_that_are_refused_though_they_are_allowed_are_told_together() -> None:
    [late] = [one for one in shop() if (one.probe, one.client, one.expected) == (Probe.EDGE, "late", Expected.REFUSED)]
    assert "late, later, though they are allowed: " in text(*shop(), replace(late, client="later"))


FAILED = """\
✗ api  curious  12 passed, 1 failed
  lets in   web
  refuses   ops: not allowed
            late, though it is allowed: broken on purpose, or revoked
            3 forged: no certificate, foreign CA, revoked
  controls  fresh certificate, forged headers ignored, health port
  callers   accept the true server, refuse 2 false ones
  ✗ web, expired
    expected refused, seen allowed (http): what was seen
    api does not check when a certificate expires.
  → `scaffold plan` shows whether a file was edited, and `scaffold apply`
    restores it. If nothing differs, the template is wrong: `scaffold templates
    check` tests it.
"""


def test_a_failure_is_told_in_full_with_what_to_do_and_once_more_at_the_end() -> None:
    shown = text(*having(Probe.EXPIRED, "web"))
    assert shown.startswith(FAILED)
    assert "  any forged certificate  ✗    -\n" in shown
    assert shown.endswith(
        "Failed (see above for what to do):\n  web at api, expired\n\nVerify: 16 passed, 1 failed, 0 skipped.\n"
    )


def test_what_failed_is_not_among_what_is_right() -> None:
    shown = text(*having(Probe.EDGE, "web"))
    assert "lets in   web" not in shown
    assert "web, allowed call" in shown


def test_failures_that_say_the_same_are_one_and_what_to_do_stands_once() -> None:
    broken = [gone_wrong(one, Observed.BROKEN, "HTTP 500") for one in shop() if one.server == "api"]
    shown = text(*broken)
    assert shown.count("scaffold up --only server.api") == 1
    assert "web, allowed call; fresh certificate without a fault; forged identity" in shown
    assert shown.count("expected allowed, seen broken (http): HTTP 500") == 2  # of web, and of anyone
    assert "Verify: 0 passed, 13 failed, 0 skipped." in shown


def test_of_many_failures_ten_are_named_again_and_the_others_counted() -> None:
    shown = text(*(gone_wrong(one, Observed.ALLOWED) for one in many(4) if one.probe is Probe.NOT_ALLOWED))
    again = shown[shown.index("Failed (see above") :]
    assert again.count(" at service-") == 10
    assert again.splitlines()[11] == "  … and 2 more"
    ten = [gone_wrong(one, Observed.ALLOWED) for one in many(4) if one.probe is Probe.NOT_ALLOWED][:10]
    assert "more\n" not in text(*ten)[text(*ten).index("Failed (see above") :]


def test_where_expected_and_seen_say_all_nothing_else_is_said() -> None:
    shown = text(gone_wrong(check("api", "web", Probe.EDGE), Observed.REFUSED, "alert unknown ca"))
    assert "seen refused (http): alert unknown ca\n  → `scaffold explain web api` shows" in shown


def test_callers_that_were_shown_false_servers_alone_are_told_too() -> None:
    assert "  callers   refuse 1 false one\n" in text(check("api", "web", Probe.FALSE_NAME))
    assert "  callers   accept the true server\n" in text(check("api", "web", Probe.TRUE_SERVER))
    assert "callers" not in text(check("api", "web", Probe.EDGE))


def test_false_servers_that_are_believed_as_declared_are_no_true_ones() -> None:
    by_name = check("api", "web", Probe.FALSE_LONE_COMMON_NAME, Expected.ALLOWED)
    assert "  callers   accept 1 by its common name, as declared\n" in text(by_name)
    others = [check("api", "web", probe) for probe in (Probe.TRUE_SERVER, Probe.FALSE_NAME)]
    shown = text(*others, by_name, replace(by_name, probe=Probe.FALSE_COMMON_NAME))
    assert "accept the true server, refuse 1 false one, accept 2 by their common name, as declared" in " ".join(
        shown.split()
    )


def test_what_was_skipped_is_counted_by_reason() -> None:
    shown = text(*(skipped(one, "server.api needs a thing") for one in shop() if one.server == "api"))
    assert shown.startswith("- api  curious  13 skipped\n  - 13 skipped: server.api needs a thing\n")
    assert "  web (and 2 more)        -\n" in shown
    assert "Nothing was tried: the reasons are above" in shown


def test_a_stranger_that_an_edited_allow_list_lets_in_is_told_so() -> None:
    let_in = gone_wrong(check("api", "intern", Probe.NOT_ALLOWED), Observed.ALLOWED, "HTTP 200")
    reason = Reason(ReasonCode.CONTENT, "servers/api/tls/allowed.json")
    drift = Change(Address.parse("server.api.trust"), Action.UPDATE, (reason,))
    said = "its allow list differs from the topology (tls/allowed.json differs)."
    assert said in text(let_in, drift=(drift,), columns=None)
    elsewhere = replace(drift, address=Address.parse("server.store.trust"))
    for shown in (text(let_in, columns=None), text(let_in, drift=(elsewhere,), columns=None)):
        assert "its allow list is not asked." in shown


def test_drift_is_told() -> None:
    reason = Reason(ReasonCode.CONTENT, "servers/api/tls/ca.pem")
    drift = Change(Address.parse("server.api.trust"), Action.UPDATE, (reason,))
    shown = text(*shop(), drift=(drift,))
    assert "Files that differ from the topology, whatever the probes found:\n  ~ server.api.trust" in shown
    assert "17 passed, 1 failed" in shown


def test_a_server_that_did_not_start_is_told_once_with_its_last_words_and_what_to_do() -> None:
    ledger = Unstarted("server.api", "server.api ended with exit status 1; its last lines:\n  oops", "stop the other")
    down = [
        replace(gone_wrong(one, Observed.UNREACHABLE), unstarted=ledger) if one.server == "api" else one
        for one in shop()
    ]
    shown = text(*down)
    assert (
        "  ✗ 13 could not be tried: server.api did not start\n"
        "    server.api ended with exit status 1; its last lines:\n"
        "      oops\n"
        "  → stop the other\n"
    ) in shown
    assert "  server.api did not start: 13 checks could not be tried\n\nVerify: 4 passed, 13 failed" in shown


def test_one_that_was_to_run_and_does_not_answer_is_one_block_too() -> None:
    silent = Unstarted("server.api", "nobody answers at 127.0.0.1:8443", "start it there", "does not answer")
    shown = text(*(replace(gone_wrong(one, Observed.UNREACHABLE), unstarted=silent) for one in shop()[:3]))
    assert (
        "  ✗ 3 could not be tried: server.api does not answer\n"
        "    nobody answers at 127.0.0.1:8443\n"
        "  → start it there\n"
    ) in shown
    assert "  server.api does not answer: 3 checks could not be tried\n" in shown


def many(servers: int) -> tuple[Check, ...]:
    names = [f"service-{number}.of.a.long.name" for number in range(servers)]
    return tuple(
        check(server, f"caller-{number}", Probe.EDGE if number == at else Probe.NOT_ALLOWED)
        for at, server in enumerate(names)
        for number in range(servers)
    )


def test_fifty_servers_where_all_is_well_take_a_line_each_and_those_that_failed_a_block() -> None:
    checks = list(many(50))
    assert text(*checks).splitlines()[:50] == [
        f"✓ service-{number}.of.a.long.name{' ' if number < 10 else ''}  1 let in, 49 refused, 50 checks passed"
        for number in range(50)
    ]
    assert text(*checks).splitlines()[50:52] == ["", "Callers and servers"]
    checks[7] = gone_wrong(checks[7], Observed.ALLOWED)
    shown = text(*checks)
    assert shown.count("1 let in, 49 refused") == 49
    assert "✗ service-0.of.a.long.name  49 passed, 1 failed\n  lets in   caller-0\n" in shown
    assert "refuses   caller-1, caller-2, caller-3, caller-4, caller-5, caller-6 and" in shown
    assert len(shown.splitlines()) < 200


def test_a_line_counts_only_calls_that_are_let_in() -> None:
    checks = [*many(IN_FULL + 1)]
    checks[0] = check(checks[0].server, "late", Probe.EDGE, Expected.REFUSED)
    checks.append(check(checks[0].server, "caller-0", Probe.CONTROL))
    checks.append(check(checks[0].server, "caller-0", Probe.FALSE_NAME))
    assert "service-0.of.a.long.name   0 let in, 13 refused, 15 checks passed\n" in text(*checks)


def test_a_dozen_servers_have_a_block_each() -> None:
    assert text(*many(IN_FULL)).count("lets in") == IN_FULL
    assert text(*many(IN_FULL + 1)).count("lets in") == 0


@pytest.mark.parametrize("columns", [40, 60, 80, 200])
@pytest.mark.parametrize("servers", [3, 50])
def test_it_fits_the_terminal_and_a_block_never_needs_more_than_eighty_columns(columns: int, servers: int) -> None:
    checks = [gone_wrong(one, Observed.ALLOWED, "much was seen " * 20) if n == 1 else one
              for n, one in enumerate(many(servers))]  # fmt: skip
    lines = text(*checks, columns=columns).splitlines()
    block = [line for line in lines if line.startswith(("  lets in", "  refuses", "    "))]
    assert max(map(len, block)) <= columns
    matrix = lines[lines.index("Callers and servers") + 2 :]
    assert max(len(line) for line in matrix if "·" in line) <= max(columns, 48)


def test_a_pipe_has_what_was_seen_in_one_line() -> None:
    long = "much was seen " * 20
    shown = text(*having(Probe.EXPIRED, "web", gone_wrong(check("api", "web", Probe.EXPIRED), Observed.ALLOWED, long)),
                 columns=None)  # fmt: skip
    assert f"    expected refused, seen allowed (http): {long.strip()}\n" in shown
    assert max(len(line) for line in shown.splitlines() if line.startswith("  refuses")) <= 80


def test_what_a_server_says_cannot_move_the_cursor() -> None:
    evil = gone_wrong(check("api", "web", Probe.EXPIRED), Observed.ALLOWED, "\x1b[2Jgone")
    assert "\x1b" not in text(evil)
    unable = skipped(check("api", "web", Probe.EXPIRED), "\x1b[2Jgone")
    assert "\x1b" not in text(replace(unable))
