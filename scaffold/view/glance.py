"""The report of a verification at a glance: a block a server, every failure in full with what to do, and a matrix."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from scaffold.plan.model import Change
from scaffold.verify.cases import TAKING_COMMON_NAMES, is_in_its_place
from scaffold.verify.model import Check, Expected, Probe, Report, Result
from scaffold.view.advice import meaning, remedy, remedy_there
from scaffold.view.matrix import matrix_lines
from scaffold.view.terminal import Line, fitted, one_line, plain, wrapped
from scaffold.view.verify import MARKS, by_server, drift_lines, ending_lines, seen_where, skipped_by_reason

WIDTH: Final = 80
"""Of a block where the terminal does not say how wide it is, and at most where it does."""

NARROWEST: Final = 40
"""A narrower terminal breaks lines by itself."""

IN_FULL: Final = 12
"""Of more servers than this, those where nothing went wrong take one line each, before all others."""

NAMED: Final = 6
"""So many servers and clients are named in a line of a block; the others are counted."""

RECALLED: Final = 10
"""So many failures are named once more at the end."""

_LABEL: Final = 10

_SHORT: Final[Mapping[Probe, str]] = {
    Probe.CONTROL: "fresh certificate",
    Probe.OTHER_SUBJECT: "another subject",
    Probe.NO_CERTIFICATE: "no certificate",
    Probe.FOREIGN_CA: "foreign CA",
    Probe.SIBLING_CA: "sibling CA",
    Probe.SAME_NAME_CA: "CA of the same name",
    Probe.SELF_SIGNED: "self-signed",
    Probe.EXPIRED: "expired",
    Probe.NOT_YET_VALID: "not yet valid",
    Probe.SERVER_CERTIFICATE: "server's certificate",
    Probe.NO_EKU: "no extended key usage",
    Probe.ISSUED_BY_LEAF: "issued by a leaf",
    Probe.OLD_TLS: "old TLS",
    Probe.REVOKED: "revoked",
    Probe.REVOKED_CA: "revoked CA",
    Probe.EXPIRED_CRL: "expired CRL",
    Probe.RESPONDER_DOWN: "revocation status unavailable",
    Probe.RESPONDER_UNKNOWN: "unknown to OCSP",
    Probe.STALE_OCSP: "expired OCSP answer",
    Probe.STAPLE: "stapled OCSP answer",
    Probe.FORGED_HEADERS: "forged headers ignored",
    Probe.HEALTH: "health port",
}
"""The probes in a block, where `Probe.words` would fill it."""


@dataclass(frozen=True, slots=True)
class _Told:
    """How failures are told: in how many columns, with what to do, and what had drifted before."""

    columns: int | None
    what_helps: Callable[[Check], str]
    drift: Sequence[Change]


def glance_lines(report: Report, kinds: Mapping[str, str] | None = None, columns: int | None = None) -> Iterator[Line]:
    """The report as text that fits `columns`. `kinds` is as for `report_lines`.

    Where `columns` is None, as in a pipe, what was seen and what to do are in one line each, to be searched.
    """
    width = max(min(columns or WIDTH, WIDTH), NARROWEST)
    groups = by_server(report.checks)
    told = _Told(columns, remedy_there if report.of_running else remedy, report.drift)
    headings = {server: f"{server}  {(kinds or {}).get(server, '')}".rstrip() for server in groups}
    shortly = {server for server, checks in groups.items() if len(groups) > IN_FULL and _is_fine(checks)}
    widest = max((len(headings[server]) for server in shortly), default=0)
    for server in (name for name in groups if name in shortly):
        yield _one_line(f"{headings[server]:<{min(widest, NARROWEST)}}", groups[server])
    if shortly:
        yield plain("")
    for server in (name for name in groups if name not in shortly):
        yield from _block(headings[server], groups[server], width, told)
        yield plain("")
    yield from matrix_lines(report.checks, columns or WIDTH)
    yield from drift_lines(report)
    yield from _recalled(report)
    yield from ending_lines(report)


def _is_fine(checks: Sequence[Check]) -> bool:
    return all(check.result is Result.PASSED for check in checks)


def _one_line(heading: str, checks: Sequence[Check]) -> Line:
    mark, style = MARKS[Result.PASSED]
    edges = [check for check in checks if check.probe is Probe.EDGE and check.expected is Expected.ALLOWED]
    refused = sum(check.expected is Expected.REFUSED and not is_in_its_place(check.probe) for check in checks)
    said = f"  {len(edges):,} let in, {refused:,} refused, {len(checks):,} checks passed"
    return [(f"{mark} ", style), (heading, "bold"), (said, "dim")]


def _block(heading: str, checks: Sequence[Check], width: int, told: _Told) -> Iterator[Line]:
    results = Counter(check.result for check in checks)
    worst = next(result for result in (Result.FAILED, Result.PASSED, Result.SKIPPED) if results[result])
    mark, style = MARKS[worst]
    counts = ", ".join(f"{results[result]:,} {result}" for result in Result if results[result])
    yield [(f"{mark} ", style), (heading, "bold"), (f"  {counts}", "dim")]
    passed = [check for check in checks if check.result is Result.PASSED]
    before = ""
    for label, text in _said_of(passed):
        yield from _labelled(label if label != before else "", text, width)
        before = label
    failed = [check for check in checks if check.result is Result.FAILED]
    yield from _unstarted(failed, told.columns)
    yield from _failures([check for check in failed if check.unstarted is None], told)
    for reason, probes in skipped_by_reason(checks).items():
        mark, style = MARKS[Result.SKIPPED]
        yield from _marked(f"  {mark} ", f"{len(probes):,} skipped: {one_line(reason)}", style, told.columns)


def _said_of(passed: Sequence[Check]) -> Iterator[tuple[str, str]]:
    """Each line of a block, as its label and text."""
    calls = [check for check in passed if not is_in_its_place(check.probe)]
    let_in, refused = _by_expectation(calls)
    if names := _callers(let_in, Probe.EDGE):
        yield "lets in", _listed(names)
    if names := _callers(refused, Probe.NOT_ALLOWED):
        yield "refuses", f"{_listed(names)}: not allowed"
    for why in dict.fromkeys(check.why for check in refused if check.probe is Probe.EDGE):
        names = _callers((check for check in refused if check.why == why), Probe.EDGE)
        they_are = "it is" if len(names) == 1 else "they are"
        yield "refuses", f"{_listed(names)}, though {they_are} allowed: {why or 'broken on purpose, or revoked'}"
    if forged := [check for check in refused if check.probe not in (Probe.EDGE, Probe.NOT_ALLOWED)]:
        yield "refuses", f"{len(forged):,} forged: {_probes(forged)}"
    if others := [check for check in let_in if check.probe is not Probe.EDGE]:
        yield "controls", _probes(others)
    believed, doubted = _by_expectation([check for check in passed if is_in_its_place(check.probe)])
    if believed or doubted:
        by_name = sum(check.probe in TAKING_COMMON_NAMES for check in believed)
        accept = ["accept the true server"] if len(believed) > by_name else []
        refuse = [f"refuse {len(doubted):,} false {'one' if len(doubted) == 1 else 'ones'}"] if doubted else []
        taken = (
            [f"accept {by_name:,} by {'its' if by_name == 1 else 'their'} common name, as declared"] if by_name else []
        )
        yield "callers", ", ".join(accept + refuse + taken)


def _by_expectation(checks: Iterable[Check]) -> tuple[list[Check], list[Check]]:
    """Those in which something was to be allowed, and those in which it was to be refused."""
    allowed: list[Check] = []
    refused: list[Check] = []
    for check in checks:
        (allowed if check.expected is Expected.ALLOWED else refused).append(check)
    return allowed, refused


def _callers(checks: Iterable[Check], probe: Probe) -> Sequence[str]:
    return tuple(dict.fromkeys(check.client for check in checks if check.probe is probe))


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _probes(checks: Iterable[Check]) -> str:
    counts = Counter(_SHORT.get(check.probe, check.probe.words) for check in checks)
    return ", ".join(f"{words} ×{count}" if count > 1 else words for words, count in counts.items())


def _labelled(label: str, text: str, width: int) -> Iterator[Line]:
    first, *others = wrapped(text, width - 2 - _LABEL)
    yield [(f"  {label:<{_LABEL}}", "dim"), (first, "")]
    yield from (plain(" " * (2 + _LABEL) + other) for other in others)


def _failures(failed: Sequence[Check], told: _Told) -> Iterator[Line]:
    """Each failure in full, and beneath those for which it is the same what to do."""
    by_remedy: dict[str, list[Check]] = {}
    for check in failed:
        by_remedy.setdefault(told.what_helps(check), []).append(check)
    for what_to_do, checks in by_remedy.items():
        yield from _seen(checks, told)
        yield from _marked("  → ", what_to_do, "bold", told.columns)


def _unstarted(failed: Iterable[Check], columns: int | None) -> Iterator[Line]:
    """Which servers did not start, or do not answer, what each said last, and what to do."""
    for unstarted, count in Counter(check.unstarted for check in failed if check.unstarted is not None).items():
        mark, style = MARKS[Result.FAILED]
        yield from _marked(
            f"  {mark} ", f"{count:,} could not be tried: {unstarted.who} {unstarted.what}", style, columns
        )
        first, *last = unstarted.said.splitlines()
        yield from _marked("    ", one_line(first), "red", columns)
        for line in last:
            yield from _marked("      ", one_line(line.strip()), "red", columns)
        yield from _marked("  → ", unstarted.hint, "bold", columns)


def _seen(failed: Iterable[Check], told: _Told) -> Iterator[Line]:
    """What was expected, what was seen and what that means; of several probes once, where it is the same."""
    alike: dict[tuple[str, Expected, str, str, str | None], list[Check]] = {}
    for check in failed:
        key = (check.client, check.expected, seen_where(check), check.detail, meaning(check, told.drift))
        alike.setdefault(key, []).append(check)
    mark, style = MARKS[Result.FAILED]
    for (client, expected, where, detail, means), checks in alike.items():
        which = "; ".join(dict.fromkeys(check.probe.words for check in checks))
        said = f": {one_line(detail)}" if detail else ""
        yield from _marked(f"  {mark} ", f"{client}, {which}", style, told.columns)
        yield from _marked("    ", f"expected {expected}, seen {where}{said}", "red", told.columns)
        if means is not None:
            yield from _marked("    ", means, "", told.columns)


def _marked(mark: str, text: str, style: str, columns: int | None) -> Iterator[Line]:
    lines = fitted(text, columns, len(mark), 20)
    for line, start in zip(lines, (mark, *[" " * len(mark)] * (len(lines) - 1)), strict=True):
        yield [(start + line, style)]


def _recalled(report: Report) -> Iterator[Line]:
    """Which failures there were, once more, where many blocks leave the reader."""
    every = [check for check in report.checks if check.result is Result.FAILED]
    if not every:
        return
    yield [("Failed (see above for what to do):", "bold red")]
    for unstarted, count in Counter(check.unstarted for check in every if check.unstarted is not None).items():
        yield [(f"  {unstarted.who} {unstarted.what}: {count:,} checks could not be tried", "red")]
    failed = [check for check in every if check.unstarted is None]
    for check in failed[:RECALLED]:
        yield [(f"  {check.client} at {check.server}, {check.probe.words}", "red")]
    if len(failed) > RECALLED:
        yield [(f"  … and {len(failed) - RECALLED:,} more", "red")]
    yield plain("")
