"""Refuses regular expressions that a line could keep busy without end: `re` goes back and tries every way.

What is left takes a time that grows with a small power of the line's length, so that the length has to be bounded too.
"""

from __future__ import annotations

import re
from typing import Final

_MOST_REPETITIONS: Final = 2
_MOST_BARS: Final = 5

_PART: Final = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\(\?|[*+?]|\{\d*,?\d*\}|.", re.DOTALL)


def endless(pattern: str) -> str | None:
    """Why a pattern could take for ever, as a sentence goes on after the field's name; None where it could not."""
    parts = _PART.findall(pattern)
    quantifiers = [(before, part) for before, part in zip(["", *parts], parts, strict=False) if _repeats(part)]
    if any(before == ")" for before, _ in quantifiers):
        return "repeats a group, which can take for ever: repeat only single characters and classes"
    # One that comes after another makes it lazy or possessive, and repeats nothing.
    repetitions = [part for before, part in quantifiers if part != "?" and not _repeats(before)]
    if len(repetitions) > _MOST_REPETITIONS:
        return f"has more than {_MOST_REPETITIONS} repetitions, which can take for ever: name the words of the line"
    if parts.count("|") > _MOST_BARS:
        return f"has more than {_MOST_BARS + 1} alternatives"
    return None


def _repeats(part: str) -> bool:
    return part in ("*", "+", "?") or (len(part) > 1 and part[0] == "{")
