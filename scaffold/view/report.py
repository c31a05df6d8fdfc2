"""The inventory as text, for a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from scaffold.inventory.model import CaEntry, Inventory, PartyEntry
from scaffold.plan.status import State
from scaffold.topology.generations import GenerationState
from scaffold.view import inventory as words
from scaffold.view.matrix import matrix_lines
from scaffold.view.status import STYLES, remaining
from scaffold.view.terminal import Line, fitted, one_line, plain

COLUMNS = 80

MOST_DAYS = 20
"""Of the time line, the next; all of them are in the JSON and the HTML."""


def report_lines(inventory: Inventory, columns: int | None = None) -> Iterator[Line]:
    """The whole inventory, in `columns` (80 where that is not known)."""
    width = columns or COLUMNS
    yield [(f"{inventory.topology}: {words.summary(inventory)}", "bold")]
    yield plain(f"As of {words.moment(inventory.at)}. {words.counts_words(inventory)}.")
    for said in words.warnings(inventory):
        yield from _fitted(said, width, style="bold yellow")
    yield plain("")
    yield from _attention(inventory, width)
    yield from _section("CAs", (_ca(ca, inventory, width) for ca in inventory.cas))
    yield from _section("Servers", (_party(one, inventory, width) for one in inventory.servers))
    yield from _section("Clients", (_party(one, inventory, width) for one in inventory.clients))
    yield from _owners(inventory, width)
    yield from _revoked(inventory, width)
    yield from _verified(inventory, width)
    yield from _ends(inventory, width)


def _section(title: str, blocks: Iterable[Iterable[Line]]) -> Iterator[Line]:
    lines = [line for block in blocks for line in block]
    if lines:
        yield [(title, "bold")]
        yield from lines
        yield plain("")


def _attention(inventory: Inventory, width: int) -> Iterator[Line]:
    said = list(words.remarks(inventory))
    yield [("Needs attention" if said else "Nothing needs attention.", "bold")]
    for one in said:
        text = f"{one.about}: {one.text}"
        yield from _fitted(text, width, 2, _style(one.state) if one.state is not None else "bold yellow")
    yield plain("")


def _style(state: State) -> str:
    return STYLES.get(state, "bold red")


def _head(entry: CaEntry | PartyEntry, inventory: Inventory) -> Line:
    state, until = entry.worst, words.next_end((entry,))
    ends = f"  {words.ends_words(until, inventory.at)}" if until is not None else ""
    shown = (state.value, _style(state)) if state is not None else ("external", "")
    return [(f"  {entry.address}", "bold"), ("  ", ""), shown, (ends, "")]


def _ca(ca: CaEntry, inventory: Inventory, width: int) -> Iterator[Line]:
    yield _head(ca, inventory)
    generation = "" if ca.generation is GenerationState.ISSUING else f"; {ca.generation.value}"
    said = ", ".join(part for part in (ca.certificate.subject, ca.certificate.key, words.above_words(ca)) if part)
    facts = [
        f"{said}{generation}",
        f"may sign {words.constraints_words(ca.constraints)}; {words.depth_words(ca.path_length)}",
        f"{words.signs_words(ca)}; certificates that it issues {words.pointers_words(ca.pointers)}",
    ]
    if (crl := words.crl_words(ca, inventory.at)) is not None:
        facts.append(crl)
    if ca.owner is not None:
        facts.append(f"owner: {ca.owner}")
    for fact in facts:
        yield from _fitted(fact, width, 4)


def _party(party: PartyEntry, inventory: Inventory, width: int) -> Iterator[Line]:
    yield _head(party, inventory)
    where = f" at {party.place}" if party.place else ""
    made = f"{party.template}{where}, " if party.template else ""
    yield from _fitted(f"{made}{words.issued_words(party)}", width, 4)
    if party.owner is not None:
        yield from _fitted(f"owner: {party.owner}", width, 4)
    if party.fault is not None:
        yield from _fitted(f"broken on purpose: {party.fault}", width, 4, "yellow")
    yield from _fitted(f"known as {party.identity}", width, 4)
    if party.names:
        yield from _fitted(f"names: {', '.join(party.names)}", width, 4)
    if party.is_server:
        yield from _fitted(f"may be called by: {words.callers_words(party)}", width, 4)
    if (passes_on := words.passes_on_words(party)) is not None:
        yield from _fitted(passes_on, width, 4)
    if party.accepts:
        yield from _fitted(words.accepts_words(party), width, 4, "bold yellow")
    if party.callees or not party.is_server:
        yield from _fitted(f"may call: {words.callees_words(party)}", width, 4)
    yield from _fitted(f"revocation of peers: {words.checks_words(party)}", width, 4)


def _owners(inventory: Inventory, width: int) -> Iterator[Line]:
    if set(inventory.owners) == {None}:
        return
    yield [("By owner", "bold")]
    for owner, entries in inventory.owners.items():
        attention = sum(entry.worst in words.ATTENTION for entry in entries)
        end = words.next_end(entries)
        said = f"{owner or words.NOBODY}: {len(entries):,}" + (f", {attention:,} to look at" if attention else "")
        until = f"; the next certificate ends {words.day(end)}" if end is not None else ""
        yield from _fitted(said + until, width, 2)
    yield plain("")


def _revoked(inventory: Inventory, width: int) -> Iterator[Line]:
    yield [("Revoked" if inventory.revoked else "Nothing was revoked.", "bold")]
    for one in inventory.revoked:
        yield from _fitted(f"{words.revoked_name(one)}, serial {one.serial}", width, 2)
        yield from _fitted(f"{words.moment(one.at)}, {one.reason}; {words.listed_words(one, inventory.at)}", width, 4)
        yield from _fitted(words.refusers_words(one), width, 4)
    yield plain("")


def _verified(inventory: Inventory, width: int) -> Iterator[Line]:
    yield [("Last verify", "bold")]
    for said in words.verified_words(inventory):
        yield from _fitted(said, width, 2)
    yield plain("")
    if inventory.verified is not None:
        yield from matrix_lines([one.check for one in inventory.verified.seen], width)


def _ends(inventory: Inventory, width: int) -> Iterator[Line]:
    days = words.by_day(inventory.ends)
    if not days:
        return
    yield [("Expiry dates", "bold")]
    for group in days[:MOST_DAYS]:
        left = remaining(group.ends[0].at, inventory.at)
        first, *others = fitted(one_line(words.named(end.address for end in group.ends)), width, 24, 20)
        worst = max((end.state for end in group.ends), key=list(State).index)
        yield [(f"  {words.day(group.day)}", ""), (f"  {left:>8}", _style(worst)), (f"  {first}", "")]
        yield from (plain(f"{'':24}{line}") for line in others)
    if len(days) > MOST_DAYS:
        yield plain(f"  … and {len(days) - MOST_DAYS:,} more days (`report --json` and `--html` have all)")


def _fitted(text: str, width: int, indent: int = 0, style: str = "") -> Iterator[Line]:
    yield from ([(f"{'':{indent}}{line}", style)] for line in fitted(one_line(text), width, indent, 20))
