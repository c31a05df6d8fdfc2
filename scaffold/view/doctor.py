"""What a topology needs of this machine, for a person: by template, what was found, and how to install the rest."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from scaffold.running.doctor import Need, State
from scaffold.view.programs import dump
from scaffold.view.terminal import Line, Span, fitted, one_line, plain

MARKS: Mapping[State, Span] = {
    State.PRESENT: ("✓", "green"),
    State.MISSING: ("✗", "bold red"),
    State.NOTE: ("!", "yellow"),
}

MOST_ALIKE, SHOWN_ALIKE = 12, 3
"""Of more needs than the first, of which the same is found, as many as the second are shown."""


def doctor_lines(needs: Sequence[Need], columns: int | None = None) -> Iterator[Line]:
    """Each need under its template, then those of the topology itself. Without `columns` no line is broken."""
    groups: dict[str, list[Need]] = {}
    for need in needs:
        groups.setdefault(_heading(need), []).append(need)
    for heading, of_it in groups.items():
        yield [(heading, "bold")]
        width = _width(of_it, columns)
        for found, alike in groupby(of_it, key=lambda need: (need.state, need.found, need.install)):
            yield from _alike_lines(list(alike), found[0], width, columns)
        yield plain("")
    yield [(summary(needs), "bold red" if is_lacking(needs) else "bold green")]


def _width(needs: Sequence[Need], columns: int | None) -> int:
    """How wide the column of what is needed is; more than half a terminal is left to what was found."""
    return min(max(len(one_line(need.what)) for need in needs), columns // 2 if columns is not None else sys.maxsize)


def _alike_lines(needs: Sequence[Need], state: State, width: int, columns: int | None) -> Iterator[Line]:
    """Those of which the same is found, then what helps all; of many that are there, such as free ports, the first."""
    shown = needs[:SHOWN_ALIKE] if state is State.PRESENT and len(needs) > MOST_ALIKE else needs
    for need in shown:
        yield from _need_lines(need, width, columns)
    if needs[0].install is not None:
        yield from _help(needs[0].install, columns)
    if left_out := len(needs) - len(shown):
        yield [(f"    … and {left_out:,} more, {one_line(needs[0].found)}", "dim")]


def _need_lines(need: Need, width: int, columns: int | None) -> Iterator[Line]:
    """What is needed, and what was found in a column beside it, or below where it is too long for that."""
    mark, style = MARKS[need.state]
    what, found = one_line(need.what), fitted(one_line(need.found), columns, width + 6, 20)
    if len(what) > width:
        yield [(f"  {mark} ", style), (what, "")]
    else:
        yield [(f"  {mark} ", style), (f"{what:<{width}}  ", ""), (found.pop(0), "dim")]
    for more in found:
        yield [(" " * (width + 6), ""), (more, "dim")]


def is_lacking(needs: Sequence[Need]) -> bool:
    """Whether anything is missing."""
    return any(need.state is State.MISSING for need in needs)


def summary(needs: Sequence[Need]) -> str:
    """`Doctor: 9 present, 1 missing, 0 notes.`"""
    counts = {state: sum(need.state is state for need in needs) for state in State}
    notes = f"{counts[State.NOTE]:,} note{'s' * (counts[State.NOTE] != 1)}"
    return f"Doctor: {counts[State.PRESENT]:,} present, {counts[State.MISSING]:,} missing, {notes}."


def _heading(need: Need) -> str:
    if not need.template:
        return "This machine"
    role = need.of[0].role.value
    return f"template {need.template} ({role})"


def _help(text: str, columns: int | None) -> Iterator[Line]:
    for number, line in enumerate(fitted(one_line(text), columns, 6, 20)):
        yield [("    → " if number == 0 else "      ", "bold"), (line, "bold")]


def doctor_json(needs: Sequence[Need]) -> str:
    """`{"needs": [{"need", "template", "of", "state", "found", "install"}], "summary"}`."""
    return dump(
        {
            "needs": [_value(need) for need in needs],
            "summary": {state.value: sum(need.state is state for need in needs) for state in State},
        }
    )


def _value(need: Need) -> dict[str, Any]:
    return {
        "need": need.what,
        "template": need.template or None,
        "of": list(map(str, need.of)),
        "state": need.state.value,
        "found": need.found,
        "install": need.install,
    }
