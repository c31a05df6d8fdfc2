"""A certificate, key, CRL or bundle in words: one fact a line, and what an extension means beneath it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from scaffold.pki.inspect import Description, Fact
from scaffold.view.terminal import Line, fitted, one_line, plain

WIDEST_LABEL = 40

_LEAST = 20


def description_lines(
    descriptions: Iterable[Description], columns: int | None = None, indent: str = ""
) -> Iterator[Line]:
    """Each description with its facts aligned, its parts indented beneath. Without `columns` no line is broken."""
    for number, description in enumerate(descriptions):
        if number:
            yield plain("")
        yield [(indent + description.kind, "bold")]
        width = min(max((len(fact.label) for fact in description.facts), default=0), WIDEST_LABEL)
        for fact in description.facts:
            yield from _fact_lines(fact, width, indent + "  ", columns)
        if description.parts:
            yield plain("")
            yield from description_lines(description.parts, columns, indent + "  ")


def _fact_lines(fact: Fact, width: int, indent: str, columns: int | None) -> Iterator[Line]:
    """The value beside its label, or below where a word of it, such as a fingerprint, is too long for that."""
    value, beside = one_line(fact.value), f"{indent}{'':<{width}}  "
    below = columns is not None and _longest_word(value) > max(columns - len(beside), _LEAST)
    place = f"{indent}  " if below else beside
    lines = fitted(value, columns, len(place), _LEAST)
    yield [(f"{indent}{fact.label:<{width}}  ", "dim"), ("" if below else lines.pop(0), "")]
    for line in lines:
        yield [(place, ""), (line, "")]
    for line in fitted(f"({fact.meaning})", columns, len(place), _LEAST) if fact.meaning else ():
        yield [(f"{place}{line}", "dim")]


def _longest_word(text: str) -> int:
    return max(map(len, text.split()), default=0)
