"""The matrix of callers and servers."""

from __future__ import annotations

import io

from scaffold.verify.model import Check, Expected, Observed, Probe
from scaffold.view.matrix import matrix_lines
from scaffold.view.terminal import show
from tests.unit.view.reports import check, gone_wrong, skipped


def rows(*checks: Check, width: int = 80) -> list[str]:
    """What stands below the legend."""
    stream = io.StringIO()
    show(matrix_lines(checks, width), stream)
    return stream.getvalue().splitlines()[2:-1]


def test_who_bears_a_callers_name_in_a_forgery_is_not_that_caller() -> None:
    forged = gone_wrong(check("api", "web", Probe.EXPIRED), Observed.ALLOWED)
    assert rows(check("api", "web", Probe.EDGE), forged) == [
        "                          api",
        "  web                     ✓",
        "  any forged certificate  ✗",
    ]


def test_a_caller_that_believes_a_false_server_is_marked_where_it_calls() -> None:
    believing = gone_wrong(check("api", "web", Probe.FALSE_ROOT), Observed.ALLOWED)
    assert rows(check("api", "web", Probe.EDGE), believing)[1] == "  web  ✗"


def test_that_it_accepts_the_true_server_says_not_that_it_gets_in() -> None:
    refused = check("api", "late", Probe.EDGE, Expected.REFUSED)
    assert rows(refused, check("api", "late", Probe.TRUE_SERVER))[1] == "  late  ·"


def test_the_controls_of_the_forgeries_show_where_they_fail_alone() -> None:
    control = check("api", "web", Probe.CONTROL)
    forged = check("api", "web", Probe.EXPIRED)
    assert rows(control, forged)[1:] == ["  any forged certificate  ·"]
    assert rows(gone_wrong(control, Observed.REFUSED), forged)[1:] == [
        "  any forged certificate  ·",
        "  controls                ✗",
    ]


def test_what_was_not_tried_is_no_refusal() -> None:
    assert rows(skipped(check("api", "web", Probe.NOT_ALLOWED), "no"))[1] == "  web  -"


def legend(*checks: Check) -> str:
    return "".join(text for text, _ in list(matrix_lines(checks, 80))[1])


def test_refusals_beside_what_was_not_tried_are_told_as_a_part() -> None:
    edge, foreign, expired = (check("api", "web", probe) for probe in (Probe.EDGE, Probe.FOREIGN_CA, Probe.EXPIRED))
    in_part = (edge, foreign, skipped(expired, "no key"))
    assert rows(*in_part)[2] == "  any forged certificate  ~"
    assert "~ only in part" in legend(*in_part)
    assert "~" not in legend(edge, foreign, expired)
    assert len(legend(*in_part)) <= 80
    failed = gone_wrong(foreign, Observed.ALLOWED)
    assert rows(edge, failed, skipped(expired, "no key"))[2] == "  any forged certificate  ✗"


def test_health_and_staple_are_nobodys_call() -> None:
    assert rows(check("api", "anyone", Probe.HEALTH), check("api", "anyone", Probe.STAPLE)) == []


def test_several_callers_with_the_same_cells_are_one_row() -> None:
    two = [check("api", f"c{n}", Probe.NOT_ALLOWED) for n in range(2)]
    assert rows(*two) == ["      api", "  c0  ·", "  c1  ·"]
    three = [*two, check("api", "c2", Probe.NOT_ALLOWED), check("api", "web", Probe.EDGE)]
    assert rows(*three) == ["                   api", "  c0 (and 2 more)  ·", "  web              ✓"]


def test_a_forgery_is_never_counted_among_callers() -> None:
    callers = [check("api", f"c{n}", Probe.NOT_ALLOWED) for n in range(3)]
    assert rows(*callers, check("api", "c0", Probe.EXPIRED))[1:] == [
        "  c0 (and 2 more)         ·",
        "  any forged certificate  ·",
    ]


def test_where_nobody_calls_nothing_is_said_of_forgeries() -> None:
    none = [check(server, "anyone", Probe.NO_CERTIFICATE, Expected.REFUSED) for server in ("api", "db")]
    assert rows(*none) == ["                  api  db", "  no certificate  ·    ·"]
    assert rows(*none, check("api", "web", Probe.EXPIRED)) == [
        "                          api  db",
        "  no certificate          ·    ·",
        "  any forged certificate  ·    -",
    ]
    let_in = gone_wrong(none[1], Observed.ALLOWED)
    assert rows(none[0], let_in)[1] == "  no certificate  ·    ✗"


def test_the_forgeries_stand_below_all_callers() -> None:
    assert rows(check("api", "web", Probe.EXPIRED), check("api", "web", Probe.EDGE))[1:] == [
        "  web                     ✓",
        "  any forged certificate  ·",
    ]


def test_servers_that_do_not_fit_have_numbers_and_a_legend() -> None:
    checks = [check(f"a-long-name-{n}", "web", Probe.EDGE if n % 3 else Probe.NOT_ALLOWED) for n in range(12)]
    assert rows(*checks) == [
        "                1 11",
        "      12345 67890 12",
        "  web ·✓✓·✓ ✓·✓✓· ✓✓",
        "",
        "  1 a-long-name-0, 2 a-long-name-1, 3 a-long-name-2, 4 a-long-name-3,",
        "  5 a-long-name-4, 6 a-long-name-5, 7 a-long-name-6, 8 a-long-name-7,",
        "  9 a-long-name-8, 10 a-long-name-9, 11 a-long-name-10, 12 a-long-name-11",
    ]


def test_more_than_fit_come_in_parts_in_which_each_server_is_found_once() -> None:
    checks = [check(f"server-{n:02}", "web", Probe.EDGE) for n in range(50)]
    shown = rows(*checks, width=60)
    assert sum(row.count("✓") for row in shown) == 50
    assert sum(row.startswith("  web") for row in shown) == 2
    assert max(map(len, shown)) <= 60


def test_a_long_name_is_cut_in_its_row() -> None:
    assert rows(check("api", "c" * 60, Probe.EDGE))[1] == f"  {'c' * 23}…  ✓"
