"""An error as a person reads it: what is wrong, where it is, and what to do about it."""

from __future__ import annotations

import unicodedata

from scaffold.errors import Place, ScaffoldError, TopologyErrors
from scaffold.view.terminal import one_line

WIDTH = 100
"""The longest piece of a YAML line that is shown."""


MOST_SHOWN = 20
"""Of several mistakes in one file; nobody mends more at a time."""


def error_text(error: ScaffoldError) -> str:
    """The message, its place with the line and a caret under the column, and the hint; of each of several, in order."""
    if not isinstance(error, TopologyErrors):
        return _one(error)
    shown = [_one(one) for one in error.errors[:MOST_SHOWN]]
    more = len(error.errors) - len(shown)
    return "\n\n".join([*shown, *([f"and {more:,} more"] if more else [])])


def _one(error: ScaffoldError) -> str:
    first, *more = error.message.split("\n")
    lines = [f"error: {one_line(first)}", *(f"  {one_line(line.strip())}" for line in more)]
    if error.place is not None:
        lines += _place_lines(error.place)
    if error.hint:
        lines.append(f"hint: {one_line(error.hint)}")
    return "\n".join(lines)


def _place_lines(place: Place) -> list[str]:
    lines = [f"  {one_line(str(place))}"]
    if not place.text.strip():
        return lines
    start = max(0, min(place.column - 1, len(place.text)) - WIDTH // 2) if len(place.text) > WIDTH else 0
    text = place.text[start : start + WIDTH]
    before = one_line(text[: place.column - 1 - start])
    gutter = f"  {place.line} | "
    lines.append(gutter + one_line(text))
    lines.append(" " * (len(gutter) - 2) + "| " + " " * _columns(before) + "^")
    return lines


def _columns(text: str) -> int:
    """How wide `text` is on a terminal: East Asian wide characters take two columns, combining marks none."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
