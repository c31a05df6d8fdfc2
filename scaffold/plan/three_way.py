"""Merges lines three ways, as diff3 does: what both sides have kept of the base holds the two together.

Between two such lines are three chunks. A chunk that one side has left as it was becomes the other side's; two that
are alike become one; any others are in conflict. No program is run and no file is written for it: a plan stays a plan,
and the same texts merge alike on every machine.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

Lines = Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Settled:
    """Lines of the result."""

    lines: Lines


@dataclass(frozen=True, slots=True)
class Conflict:
    """Lines that both sides have changed; `base` is None where there is none."""

    base: Lines | None
    yours: Lines
    template: Lines


Region = Settled | Conflict


def regions(base: Lines | None, yours: Lines, template: Lines) -> Iterator[Region]:
    """The result from its first line to its last. Without a base, whatever differs is a conflict."""
    return _of_two(yours, template) if base is None else _of_three(base, yours, template)


def _of_two(yours: Lines, template: Lines) -> Iterator[Region]:
    for what, start, end, other_start, other_end in _matcher(yours, template).get_opcodes():
        if what == "equal":
            yield Settled(yours[start:end])
        else:
            yield Conflict(None, yours[start:end], template[other_start:other_end])


def _of_three(base: Lines, yours: Lines, template: Lines) -> Iterator[Region]:
    in_yours, in_template = _kept(base, yours), _kept(base, template)
    start = at_yours = at_template = 0
    for kept in sorted(in_yours.keys() & in_template.keys()):
        until_yours, until_template = in_yours[kept], in_template[kept]
        yield _chunk(base[start:kept], yours[at_yours:until_yours], template[at_template:until_template])
        yield Settled(base[kept : kept + 1])
        start, at_yours, at_template = kept + 1, until_yours + 1, until_template + 1
    yield _chunk(base[start:], yours[at_yours:], template[at_template:])


def _kept(base: Lines, other: Lines) -> dict[int, int]:
    """Where the lines of `base` that `other` has kept, in their order, are in `other`."""
    return {
        block.a + index: block.b + index
        for block in _matcher(base, other).get_matching_blocks()
        for index in range(block.size)
    }


def _matcher(first: Lines, second: Lines) -> difflib.SequenceMatcher[bytes]:
    """Compares every line: by default lines that are frequent in a long text are left out."""
    return difflib.SequenceMatcher(None, first, second, autojunk=False)


def _chunk(base: Lines, yours: Lines, template: Lines) -> Region:
    if template in (base, yours):
        return Settled(yours)
    if yours == base:
        return Settled(template)
    return Conflict(base, yours, template)
