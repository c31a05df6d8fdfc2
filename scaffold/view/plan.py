"""A plan for a person: one line a change, why beneath one another, and one line that sums up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from scaffold.plan.model import Action, Change, Plan
from scaffold.view.terminal import Line, Span, one_line, plain

if TYPE_CHECKING:
    from scaffold.apply import Outcome

SYMBOLS: Mapping[Action, str] = {
    Action.CREATE: "+",
    Action.UPDATE: "~",
    Action.RENEW: "↻",
    Action.REPLACE: "-/+",
    Action.REVOKE: "×",
    Action.DELETE: "-",
    Action.CONFLICT: "!",
}

STYLES: Mapping[Action, str] = {
    Action.CREATE: "green",
    Action.UPDATE: "yellow",
    Action.RENEW: "cyan",
    Action.REPLACE: "bold magenta",
    Action.REVOKE: "red",
    Action.DELETE: "red",
    Action.CONFLICT: "bold red",
}

WORDS: Mapping[Action, str] = {action: f"to {action.value}" for action in Action} | {Action.CONFLICT: "in conflict"}

SHOWN_ALIKE = 8
"""Changes that say the same of entities of one sort are shown this often; the rest is counted."""

WIDEST_ADDRESS = 48
"""A longer address does not push the reasons of all others to the right."""


def plan_lines(plan: Plan, *, all_changes: bool = False) -> Iterator[Line]:
    """The plan as text. Many changes that are alike are counted after the first few unless `all_changes`."""
    shown, left_out = (plan.changes, {}) if all_changes else _few_of_each(plan.changes)
    width = min(max((len(change.address) for change in shown), default=0), WIDEST_ADDRESS)
    symbol_width = max((len(SYMBOLS[change.action]) for change in shown), default=1)
    for change in shown:
        yield from _change_lines(change, symbol_width, width)
        if (more := left_out.get(change.address)) is not None:
            yield [(f"  {'':{symbol_width}} … and {more:,} more alike (`plan --all` shows them)", "dim")]
    if shown:
        yield plain("")
    for note in plan.notes:
        yield [("note: ", "bold"), (one_line(note), "")]
    if plan.notes:
        yield plain("")
    yield [(summary_line(plan), "bold")]


def summary_line(plan: Plan) -> str:
    """`Plan: 12 to create, 1 to update.`"""
    if not plan.changes:
        return f"Nothing to do: {plan.topology} is as the topology says."
    return "Plan: " + counted(plan.summary) + "."


def counted(summary: Mapping[Action, int]) -> str:
    """`12 to create, 1 to update`."""
    return ", ".join(f"{count:,} {WORDS[action]}" for action, count in summary.items())


def diff_lines(unified: str) -> Iterator[Line]:
    """A unified diff, its lines in the colours that people know from git; an empty line ends it."""
    for line in unified.splitlines():
        if line.startswith(("---", "+++")):
            style = "bold"
        elif line.startswith("@@"):
            style = "cyan"
        else:
            style = {"+": "green", "-": "red"}.get(line[:1], "")
        yield [(one_line(line.expandtabs(8)), style)]
    yield plain("")


DONE: Mapping[Action, str] = {
    Action.CREATE: "created",
    Action.UPDATE: "updated",
    Action.RENEW: "renewed",
    Action.REPLACE: "replaced",
    Action.REVOKE: "revoked",
    Action.DELETE: "deleted",
    Action.CONFLICT: "left as you edited it",
}


def outcome_lines(plan: Plan, outcome: Outcome, out: Path) -> Iterator[Line]:
    """What apply did, and how to decide what it left undone."""
    if not plan.changes:
        yield [(summary_line(plan), "bold")]
        return
    counts = Counter(change.action for change in (*outcome.done, *outcome.undone))
    words = ", ".join(f"{counts[action]:,} {DONE[action]}" for action in Action if counts[action])
    for change in outcome.undone:
        yield [
            ("! ", STYLES[Action.CONFLICT]),
            (f"{change.address}: your edit stays; the new text lies beside it:", ""),
        ]
        for path in change.paths:
            yield plain(f"    {out / path}.new")
        yield plain(f"    scaffold apply --overwrite {change.address}   takes the new text instead")
    yield [(f"Apply: {words}.", "bold")]


def _change_lines(change: Change, symbol_width: int, width: int) -> Iterator[Line]:
    symbol: Span = (f"  {SYMBOLS[change.action]:>{symbol_width}} ", STYLES[change.action])
    indent = " " * (3 + symbol_width + width + 2)
    first, *others = change.reasons
    reasons = [one_line(first.message), *(one_line(reason.message) for reason in others)]
    if len(change.address) > width:
        yield [symbol, (change.address, "bold")]
    else:
        yield [symbol, (f"{change.address:<{width}}", "bold"), (f"  {reasons.pop(0)}", "")]
    for reason in reasons:
        yield plain(indent + reason)


def _few_of_each(changes: Sequence[Change]) -> tuple[Sequence[Change], Mapping[str, int]]:
    """The changes to show, and by the address of the last shown of its kind how many more there are."""
    totals = Counter(_likeness(change) for change in changes)
    seen: Counter[object] = Counter()
    shown: list[Change] = []
    left_out: dict[str, int] = {}
    for change in changes:
        likeness = _likeness(change)
        seen[likeness] += 1
        if totals[likeness] <= SHOWN_ALIKE + 1 or seen[likeness] <= SHOWN_ALIKE:
            shown.append(change)
        elif seen[likeness] == SHOWN_ALIKE + 1:
            last = next(c for c in reversed(shown) if _likeness(c) == likeness)
            left_out[last.address] = totals[likeness] - SHOWN_ALIKE
    return shown, left_out


def _likeness(change: Change) -> object:
    """What changes have in common that a person would read as one: `server.*.certificate`, action, reasons' codes."""
    sort, _, rest = change.address.partition(".")
    return sort, rest.partition(".")[2], change.action, tuple(reason.code for reason in change.reasons)
