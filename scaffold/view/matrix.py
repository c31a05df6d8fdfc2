"""The matrix at the end of a verification: a row a caller, a column a server, and in each cell what was seen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from scaffold.verify.cases import ANYONE, is_in_its_place
from scaffold.verify.model import Check, Expected, Probe, Result
from scaffold.view.terminal import Line, Span, plain, wrapped

WIDEST_NAME = 24
"""Of a caller; a longer one is cut, since each cell must be below its server."""

ALIKE = 3
"""So many callers with the same row are shown as one."""

TOGETHER = 5
"""Of cells below numbers so many are side by side before a gap."""

ANYBODY = "any forged certificate"
NO_CERTIFICATE = "no certificate"
CONTROLS = "controls"
LAST = (NO_CERTIFICATE, ANYBODY, CONTROLS)
"""The rows of nobody in particular, below all callers: what each server refuses, what is forged of a caller's, and
what must get in for those to prove anything, where it does not."""

GETS_IN: Span = ("✓", "green")
REFUSED: Span = ("·", "dim")
WRONG: Span = ("✗", "bold red")
IN_PART: Span = ("~", "yellow")
UNTRIED: Span = ("-", "yellow")
NOTHING: Span = (" ", "")

_LEGEND = "✓ gets in   · refused, as it must be   ✗ failed   - not tried"
_LEGEND_IN_PART = "✓ gets in   · refused, as it must be   ✗ failed   - not tried   ~ only in part"

_BY_WEIGHT = (WRONG, GETS_IN, REFUSED, UNTRIED)
"""Of several checks in one cell, the first of these is shown."""


@dataclass(frozen=True, slots=True)
class Row:
    """A caller, how many others have the same cells, and these by server."""

    caller: str
    others: int
    cells: tuple[Span, ...]

    @property
    def heading(self) -> str:
        more = f" (and {self.others:,} more)" if self.others else ""
        room = WIDEST_NAME - len(more)
        return (self.caller if len(self.caller) <= room else f"{self.caller[: room - 1]}…") + more


@dataclass(frozen=True, slots=True)
class Matrix:
    """The servers, and a row a caller with a cell a server."""

    servers: Sequence[str]
    rows: Sequence[Row]


def matrix(checks: Sequence[Check]) -> Matrix:
    """The whole of it; callers with the same cells are one row."""
    servers = tuple(dict.fromkeys(check.server for check in checks))
    return Matrix(servers, _rows(_callers(checks), servers))


def matrix_lines(checks: Sequence[Check], width: int) -> Iterator[Line]:
    """The matrix in `width` columns: with numbers for the servers, and in parts, where they do not fit side by side."""
    servers = tuple(dict.fromkeys(check.server for check in checks))
    callers = _callers(checks)
    if not callers:
        return
    yield [("Callers and servers", "bold")]
    rows = _rows(callers, servers)
    in_part = any(IN_PART in row.cells for row in rows)
    yield [(f"  {_LEGEND_IN_PART if in_part else _LEGEND}", "dim")]
    if 2 + _widest(rows) + sum(2 + len(server) for server in servers) <= width:
        yield from _named(rows, servers)
    else:
        yield from _numbered(callers, servers, width)
    yield plain("")


def _named(rows: Sequence[Row], servers: Sequence[str]) -> Iterator[Line]:
    names = _widest(rows)
    yield [("  " + " " * names + "".join(f"  {server}" for server in servers), "dim")]
    for row in rows:
        cells = [(f"  {cell:<{len(server)}}", style) for server, (cell, style) in zip(servers, row.cells, strict=True)]
        yield [(f"  {row.heading:<{names}}", ""), *cells]


def _numbered(callers: _Callers, servers: Sequence[str], width: int) -> Iterator[Line]:
    """Servers by number, its digits one below the other, and beneath which server each number is."""
    digits = len(str(len(servers)))
    at_once = max((width - 2 - WIDEST_NAME) // (TOGETHER + 1), 1) * TOGETHER
    for first in range(0, len(servers), at_once):
        part = servers[first : first + at_once]
        rows = _rows(callers, part)
        names = _widest(rows)
        numbers = [f"{number:>{digits}}" for number in range(first + 1, first + len(part) + 1)]
        for digit in range(digits):
            yield [(" " * (2 + names), ""), *_in_groups([(number[digit], "dim") for number in numbers])]
        for row in rows:
            yield [(f"  {row.heading:<{names}}", ""), *_in_groups(row.cells)]
        yield plain("")
    # A number stays beside its server wherever the line is broken.
    legend = ", ".join(f"{number}\N{NO-BREAK SPACE}{server}" for number, server in enumerate(servers, 1))
    lines = (line.replace("\N{NO-BREAK SPACE}", " ") for line in wrapped(legend, width - 2))
    yield from ([(f"  {line}", "dim")] for line in lines)


def _in_groups(cells: Sequence[Span]) -> Iterator[Span]:
    for number, cell in enumerate(cells):
        if number % TOGETHER == 0:
            yield " ", ""
        yield cell


def _widest(rows: Iterable[Row]) -> int:
    return max((len(row.heading) for row in rows), default=0)


_Callers = Mapping[str, Mapping[str, Sequence[Check]]]
"""The checks by caller and server, those of nobody in particular last."""


def _callers(checks: Iterable[Check]) -> _Callers:
    by_caller: dict[str, dict[str, list[Check]]] = {}
    for check in checks:
        if (caller := _caller(check)) not in LAST or _is_against_anybody(check):
            by_caller.setdefault(caller, {}).setdefault(check.server, []).append(check)
    last = {row: by_caller.pop(row) for row in LAST if row in by_caller}
    return by_caller | last


def _rows(callers: _Callers, servers: Sequence[str]) -> Sequence[Row]:
    """A row a caller; one for all, where several have the same cells."""
    alike: dict[tuple[Span, ...], list[str]] = {}
    for caller, at in callers.items():
        untold = UNTRIED if caller == ANYBODY else NOTHING
        cells = tuple(_cell(at.get(server, ()), untold) for server in servers)
        alike.setdefault((*cells, ("", caller)) if caller in LAST else cells, []).append(caller)
    rows: list[Row] = []
    for cells, names in alike.items():
        if len(names) >= ALIKE:
            rows.append(Row(names[0], len(names) - 1, cells))
        else:
            rows += (Row(name, 0, cells[: len(servers)]) for name in names)
    order = {caller: number for number, caller in enumerate(callers)}
    shown = [row for row in rows if any(cell != NOTHING for cell in row.cells)]
    return sorted(shown, key=lambda row: order[row.caller])


def _caller(check: Check) -> str:
    """Whose row a check belongs to: what has a caller's name without its certificate is nobody's."""
    if check.probe is Probe.NO_CERTIFICATE:
        return NO_CERTIFICATE
    real = check.probe in (Probe.EDGE, Probe.NOT_ALLOWED) or is_in_its_place(check.probe)
    if real and check.client != ANYONE:
        return check.client
    return ANYBODY if check.expected is Expected.REFUSED else CONTROLS


def _is_against_anybody(check: Check) -> bool:
    """Whether it says that nobody gets in without a certificate of its own, or that this is not proved."""
    if check.probe in (Probe.STAPLE, Probe.HEALTH):
        return False
    return check.expected is Expected.REFUSED or check.result is Result.FAILED


def _cell(checks: Sequence[Check], untold: Span) -> Span:
    """What was seen of these checks, and `untold` where there are none.

    That a caller accepts the true server says nothing of its own being let in. Refusals prove nothing of those that
    were not tried.
    """
    calls = [check for check in checks if not is_in_its_place(check.probe)]
    shown = {_seen(check) for check in checks if check in calls or check.result is Result.FAILED}
    if shown == {REFUSED, UNTRIED}:
        return IN_PART
    return next((span for span in _BY_WEIGHT if span in shown), untold)


def _seen(check: Check) -> Span:
    match check.result:
        case Result.FAILED:
            return WRONG
        case Result.SKIPPED:
            return UNTRIED
        case Result.PASSED:
            return REFUSED if check.expected is Expected.REFUSED else GETS_IN
