"""A plan for a person: one line a change, why beneath one another, and one line that sums up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from scaffold.plan.model import Action, Change, Plan
from scaffold.store.layout import FOLDERS
from scaffold.store.seen import NO_FILE, SeenFile
from scaffold.topology.address import Part
from scaffold.topology.notes import Note
from scaffold.view.reasons import Said, shortly
from scaffold.view.terminal import Line, Span, columns, fitted, one_line, plain

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

SHOWN_ALIKE = 4
"""So many changes of one sort that differ in details alone are shown; more are counted, or are one line where they say
the same."""

NAMED_ALIKE = 3
"""So many of those for which one line is are named in it."""

WIDEST_ADDRESS = 48
"""A longer address does not push the reasons of all others to the right."""

NARROWEST_REASON = 40
"""Where the terminal leaves less beside the addresses, the reasons are below them."""


def plan_lines(plan: Plan, *, all_changes: bool = False) -> Iterator[Line]:
    """The plan as text, wrapped on a terminal. Many changes that say the same are one line, and of many that differ in
    details alone the first few are shown and the others counted, unless `all_changes`.
    """
    shown = tuple(_Shown(change) for change in plan.changes) if all_changes else _few_of_each(plan.changes)
    width = min(max((len(one.address) for one in shown), default=0), WIDEST_ADDRESS)
    symbol_width = max((len(SYMBOLS[one.change.action]) for one in shown), default=1)
    yield from _legend({one.change.action for one in shown})
    for one in shown:
        yield from _change_lines(one, symbol_width, width)
        if one.left_out:
            sort = _sort(one.change)
            yield [(f"  {'':{symbol_width}} … and {one.left_out:,} more of {sort}, with other details", "dim")]
    if any(one.alike or one.left_out for one in shown):
        yield [("  `scaffold plan --all` shows each change.", "dim")]
    if shown:
        yield plain("")
    yield from note_lines(map(str, plan.notes) if all_changes else _notes_of_many(plan.notes))
    yield [(summary_line(plan), "bold")]


def _legend(actions: Collection[Action]) -> Iterator[Line]:
    """What the symbols mean that occur; of one alone the last line says it."""
    if len(actions) > 1:
        said = (f"{SYMBOLS[action]} {action.value}" for action in Action if action in actions)
        yield [(f"  {'   '.join(said)}", "dim")]


def note_lines(notes: Iterable[str]) -> Iterator[Line]:
    """Notes, with an empty line after the last."""
    note = None
    for note in notes:
        first, *others = _wrapped(one_line(note), indent=len("note: "))
        yield [("note: ", "bold"), (first, "")]
        yield from (plain(" " * len("note: ") + other) for other in others)
    if note is not None:
        yield plain("")


def summary_line(plan: Plan) -> str:
    """`Plan: 12 to create, 1 to update.`"""
    if not plan.changes:
        return f"Nothing to do: {plan.topology} is up to date."
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


def outcome_lines(plan: Plan, outcome: Outcome, out: Path, idle: str | None = None) -> Iterator[Line]:
    """What apply did, and how to decide what it left undone. `idle` is said where nothing was to do."""
    if not plan.changes:
        yield [(idle or summary_line(plan), "bold")]
        return
    counts = Counter(change.action for change in (*outcome.done, *outcome.undone))
    words = ", ".join(f"{counts[action]:,} {DONE[action]}" for action in Action if counts[action])
    for change in outcome.undone:
        yield [("! ", STYLES[Action.CONFLICT]), (f"{change.address}: {_what_stays(change)}.", "")]
        for path in _to_resolve(change):
            yield plain(f"    {out / path}")
        yield from map(plain, _how_to_resolve(change))
    yield [(f"Apply: {words}.", "bold")]


def _what_stays(change: Change) -> str:
    if change.address.part is not Part.APP:
        return "your edit is kept, and its project is not changed"
    if _is_in_the_way(change):
        return "the files there are kept"
    return "your edit is kept; the rest of the app is merged"


def _is_in_the_way(change: Change) -> bool:
    """Whether it is something that no template has made: nothing is to be done to it, and it is no edit."""
    return change.address.part is Part.APP and change.work is None and not change.edits


def _how_to_resolve(change: Change) -> Iterator[str]:
    whose = change.address if change.address.part is Part.APP else change.address.entity
    resolve = f"    scaffold resolve {whose}"
    if _is_in_the_way(change):
        yield "    Move it away, or remove `app` from the topology, and start the app yourself."
        return
    if any(reason.wanted for reason in change.reasons if reason.path in change.paths):
        yield f"{resolve}   once you have merged both texts in there;"
        yield "    or --mine or --theirs, to take your text or the template's whole."
    elif any(isinstance(one, SeenFile) and one.sha256 == NO_FILE for one in change.seen):
        yield f"{resolve} --theirs   takes the template's, unless you move away what is there."
    else:
        yield f"{resolve} --mine   or --theirs: yours or the template's is taken whole."


def _to_resolve(change: Change) -> Iterator[str]:
    """The files in which a conflict is resolved."""
    for path in change.paths:
        reason = next((one for one in change.reasons if one.path == path), None)
        yield f"{path.rpartition('/')[0]}/{reason.wanted}" if reason and reason.wanted else path


@dataclass(frozen=True, slots=True)
class _Shown:
    """A change that is shown; for `alike`, the names of all for which it is; after it, how many are left out."""

    change: Change
    alike: tuple[str, ...] = ()
    left_out: int = 0

    @property
    def address(self) -> str:
        return _sort(self.change) if self.alike else str(self.change.address)

    def said(self) -> Iterator[Said]:
        """The reasons, after the names for which they hold."""
        for number, said in enumerate(shortly(self.change)):
            if number or not self.alike:
                yield said
            else:
                first, *others = _alike(self.change)
                names = f"{len(self.alike):,} ({', '.join(self.alike[:NAMED_ALIKE])}, …)"
                yield Said((f"{names}: {first}", *others))


def _change_lines(one: _Shown, symbol_width: int, width: int) -> Iterator[Line]:
    symbol: Span = (f"  {SYMBOLS[one.change.action]:>{symbol_width}} ", STYLES[one.change.action])
    indent = 3 + symbol_width + width + 2
    below = (available := columns()) is not None and available - indent < NARROWEST_REASON
    if below:
        indent = 3 + symbol_width + 4
    reasons = [line for said in one.said() for line in _fitted(said, indent)]
    if below or len(one.address) > width:
        yield [symbol, (one.address, "bold")]
    else:
        yield [symbol, (f"{one.address:<{width}}", "bold"), (f"  {reasons.pop(0)}", "")]
    for reason in reasons:
        yield plain(" " * indent + reason)


def _fitted(said: Said, indent: int) -> list[str]:
    """What is said in lines that fit beside `indent`; the piece with what is wanted begins a line of its own."""
    available, text = columns(), one_line(str(said))
    if available is None or len(said.pieces) == 1 or len(text) <= max(available - indent, NARROWEST_REASON):
        return _wrapped(text, indent)
    first, *others = map(one_line, said.pieces)
    return [line for piece in (f"{first},", *others) for line in _wrapped(piece, indent)]


def _wrapped(text: str, indent: int) -> list[str]:
    """`text` in lines that fit beside `indent`; one line where there is no terminal."""
    return fitted(text, columns(), indent, NARROWEST_REASON)


def _notes_of_many(notes: Sequence[Note]) -> Iterator[str]:
    """A note that says the same of many entities names the first of them and counts the others."""
    alike: dict[str, list[Note]] = {}
    for note in notes:
        alike.setdefault(note.text, []).append(note)
    for text, of_many in alike.items():
        first, *others = of_many
        if len(others) < SHOWN_ALIKE:
            yield from map(str, of_many)
        else:
            yield f"{first.about} (and {len(others):,} more) {text}"


def _sort(change: Change) -> str:
    """`server.*.certificate`"""
    return f"{change.address.role}.*.{change.address.part}"


def _few_of_each(changes: Sequence[Change]) -> Sequence[_Shown]:
    """What is shown of the changes: those that say the same as one, and of those that are alike otherwise the first."""
    same: dict[object, list[Change]] = {}
    for change in changes:
        same.setdefault((_likeness(change), _alike(change)), []).append(change)
    as_one = {id(group[0]): group for group in same.values() if len(group) > SHOWN_ALIKE + 1}
    hidden = {id(change) for group in as_one.values() for change in group[1:]}
    totals = Counter(_likeness(change) for change in changes if id(change) not in hidden)
    seen: Counter[object] = Counter()
    shown: list[_Shown] = []
    for change in changes:
        if id(change) in hidden:
            continue
        likeness = _likeness(change)
        seen[likeness] += 1
        names = tuple(one.address.name for one in as_one.get(id(change), ()))
        if names or totals[likeness] <= SHOWN_ALIKE + 1 or seen[likeness] < SHOWN_ALIKE:
            shown.append(_Shown(change, names))
        elif seen[likeness] == SHOWN_ALIKE:
            shown.append(_Shown(change, left_out=totals[likeness] - SHOWN_ALIKE))
    return shown


def _alike(change: Change) -> tuple[str, ...]:
    """What a change says, without the name of whom: the same for all for which it can be said once."""
    folder = FOLDERS[change.address.role]
    return tuple(str(said).replace(f"{folder}/{change.address.name}", f"{folder}/*") for said in shortly(change))


def _likeness(change: Change) -> object:
    """What changes have in common that a person would read as one: `server.*.certificate`, action, reasons' codes."""
    return change.address.role, change.address.part, change.action, tuple(reason.code for reason in change.reasons)
