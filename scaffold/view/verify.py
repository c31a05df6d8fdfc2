"""The report of a verification for a person, a row a check: grouped by server, skips counted by reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from scaffold.verify.listener import Listener
from scaffold.verify.model import Check, Report, Result
from scaffold.view.plan import SYMBOLS
from scaffold.view.progress import Steps
from scaffold.view.reasons import sentences
from scaffold.view.terminal import Line, Span, one_line, plain

MARKS: Mapping[Result, Span] = {
    Result.PASSED: ("✓", "green"),
    Result.FAILED: ("✗", "bold red"),
    Result.SKIPPED: ("-", "yellow"),
}


class AsProgress(Listener):
    """Shows on a terminal how a verification goes on."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps

    def starting(self, servers: int) -> None:
        self._steps.doing("Starting servers", servers)

    def ready(self, server: str) -> None:
        self._steps.done(server)

    def probing(self, checks: int) -> None:
        self._steps.doing("Trying", checks)

    def concluded(self, check: Check, total: int) -> None:
        self._steps.done(f"{check.client} at {check.server}, {check.probe.words}")


def report_lines(report: Report, kinds: Mapping[str, str] | None = None, columns: int | None = None) -> Iterator[Line]:
    """The report as text. `kinds` says the kind of each server, by name, for its heading.

    Where a check passed its detail is cut to what fits in `columns`; a failure is always said in full.
    """
    widths = _widths(report.checks)
    for server, checks in by_server(report.checks).items():
        yield from _server_lines(server, (kinds or {}).get(server, ""), checks, widths, columns)
        yield plain("")
    yield from drift_lines(report)
    yield from _failure_lines(report)
    yield from ending_lines(report)


def ending_lines(report: Report) -> Iterator[Line]:
    """The last line, and that nothing was tried where that is so."""
    if not report.tried:
        yield [(_nothing_tried(report), "bold red")]
    yield _summary(report)


def summary_line(report: Report) -> str:
    """`Verify: 61 passed, 0 failed, 4 skipped.`"""
    return "Verify: " + ", ".join(f"{count:,} {result.value}" for result, count in report.summary.items()) + "."


def _nothing_tried(report: Report) -> str:
    if not report.checks:
        return "Nothing was tried: the topology has no server, or the entry that --only names has no checks."
    return "Nothing was tried: the reasons are above."


def _summary(report: Report) -> Line:
    return [(summary_line(report), "bold red" if report.failed else "bold green")]


def by_server(checks: Sequence[Check]) -> Mapping[str, Sequence[Check]]:
    """The checks of each server, in the report's order."""
    groups: dict[str, list[Check]] = {}
    for check in checks:
        groups.setdefault(check.server, []).append(check)
    return groups


def _widths(checks: Sequence[Check]) -> tuple[int, int, int, int]:
    columns = [
        (c.client, c.probe.words, c.expected.value, seen_where(c)) for c in checks if c.result is not Result.SKIPPED
    ]
    if not columns:
        return 0, 0, 0, 0
    client, probe, expected, seen = (max(map(len, column)) for column in zip(*columns, strict=True))
    return min(client, 30), probe, max(expected, len("expected")), max(seen, len("seen"))


def seen_where(check: Check) -> str:
    """What was seen and where: `refused (tls)`."""
    return f"{check.observed.value} ({check.layer})" if check.layer else check.observed.value


def _server_lines(
    server: str, kind: str, checks: Sequence[Check], widths: tuple[int, int, int, int], columns: int | None
) -> Iterator[Line]:
    client, probe, expected, seen = widths
    yield [(server, "bold"), (f"  {kind}" if kind else "", "dim")]
    tried = [check for check in checks if check.result is not Result.SKIPPED]
    if tried:
        heading = f"    {'client':<{client}}  {'probe':<{probe}}  {'expected':<{expected}}  {'seen':<{seen}}"
        yield [(heading, "dim")]
    for check in tried:
        row = f"{check.client:<{client}}  {check.probe.words:<{probe}}  {check.expected.value:<{expected}}  "
        row += f"{seen_where(check):<{seen}}  "
        mark, style = MARKS[check.result]
        if check.result is Result.FAILED:
            yield [(f"  {mark} {row}{one_line(check.detail)}", style)]
        else:
            room = max(columns - len(row) - 4, 0) if columns else None
            yield [(f"  {mark} ", style), (row, ""), (_cut(one_line(check.detail), room), "dim")]
    for reason, probes in skipped_by_reason(checks).items():
        mark, style = MARKS[Result.SKIPPED]
        which = "; ".join(dict.fromkeys(probes)) if len(set(probes)) <= 3 else ""
        yield [(f"  {mark} {len(probes)} skipped: {one_line(reason)}", style), (f"  ({which})" if which else "", "dim")]


def skipped_by_reason(checks: Sequence[Check]) -> Mapping[str, Sequence[str]]:
    """The probes, in words, that were skipped for each reason."""
    skipped: dict[str, list[str]] = {}
    for check in checks:
        if check.result is Result.SKIPPED:
            skipped.setdefault(check.detail, []).append(check.probe.words)
    return skipped


def _cut(text: str, room: int | None) -> str:
    return text if room is None or len(text) <= room else text[: max(room - 1, 0)] + "…"


def drift_lines(report: Report) -> Iterator[Line]:
    """What was not as the topology says; nothing where all was."""
    if not report.drift:
        return
    yield [("Files that differ from the topology, whatever the probes found:", "bold red")]
    for change in report.drift:
        reasons = one_line(sentences(change))
        yield [(f"  {SYMBOLS[change.action]} {change.address}  {reasons}", "red")]
    yield plain("")


def _failure_lines(report: Report) -> Iterator[Line]:
    """The failures once more, at the end, where a long table leaves the reader."""
    failed = [check for check in report.checks if check.result is Result.FAILED]
    if not failed:
        return
    yield [("Failed:", "bold red")]
    for check in failed:
        detail = f": {one_line(check.detail)}" if check.detail else ""
        words = f"  {check.client} at {check.server}, {check.probe.words}: expected {check.expected.value}, "
        yield [(words + f"seen {seen_where(check)}{detail}", "red")]
    for unstarted in dict.fromkeys(check.unstarted for check in failed if check.unstarted is not None):
        yield [(f"→ {unstarted.who} {unstarted.what}: {unstarted.hint}", "bold")]
    yield plain("")
