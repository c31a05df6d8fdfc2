"""A certificate, key, CRL or bundle in words: one fact a line, and what an extension means beneath it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from scaffold.pki.inspect import Description, Fact
from scaffold.view.terminal import Line, one_line, plain

WIDEST_LABEL = 40


def description_lines(descriptions: Iterable[Description], indent: str = "") -> Iterator[Line]:
    """Each description with its facts aligned, those of its parts indented beneath."""
    for number, description in enumerate(descriptions):
        if number:
            yield plain("")
        yield [(indent + description.kind, "bold")]
        width = min(max((len(fact.label) for fact in description.facts), default=0), WIDEST_LABEL)
        for fact in description.facts:
            yield from _fact_lines(fact, width, indent + "  ")
        if description.parts:
            yield plain("")
            yield from description_lines(description.parts, indent + "  ")


def _fact_lines(fact: Fact, width: int, indent: str) -> Iterator[Line]:
    yield [(f"{indent}{fact.label:<{width}}  ", "dim"), (one_line(fact.value), "")]
    if fact.meaning:
        yield [(f"{indent}{'':<{width}}  ({fact.meaning})", "dim")]
