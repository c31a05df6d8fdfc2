"""Durations as people write them in a topology: a whole number and a unit, `90d`."""

from __future__ import annotations

import re
from datetime import timedelta

from scaffold.topology.messages import Invalid, shown

UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 7 * 86_400, "y": 365 * 86_400}
"""Seconds in each unit; a year is 365 days."""

LONGEST = timedelta(days=7_000 * 365)
"""What is issued in this millennium then ends before 9999-12-31, the last date of a certificate (RFC 5280 4.1.2.5)."""

PATTERN = r"^[1-9][0-9]{0,11}[smhdwy]$"

_DURATION = re.compile(PATTERN)


def parse_duration(text: str) -> timedelta:
    """`90d` as a time span: positive, at most `LONGEST`. Raises `Invalid`."""
    if not _DURATION.match(text) or text.endswith("\n"):
        raise Invalid(f"{shown(text)} is not a duration", _hint(text))
    seconds = int(text[:-1]) * UNITS[text[-1]]
    if seconds > LONGEST.total_seconds():
        raise Invalid(f"{text} goes beyond the year 9999", f"the longest duration is {format_duration(LONGEST)}")
    return timedelta(seconds=seconds)


def format_duration(duration: timedelta) -> str:
    """Whole seconds as `parse_duration` reads them, in the largest of y, d, h, m and s that leaves no rest."""
    seconds = int(duration.total_seconds())
    for unit in ("y", "d", "h", "m"):
        if seconds and seconds % UNITS[unit] == 0:
            return f"{seconds // UNITS[unit]}{unit}"
    return f"{seconds}s"


_WORDS = {
    "s": "s", "sec": "s", "second": "s", "min": "m", "minute": "m", "h": "h", "hr": "h", "hour": "h", "d": "d",
    "day": "d", "w": "w", "wk": "w", "week": "w", "m": "m", "y": "y", "yr": "y", "year": "y",
}  # fmt: skip
"""What people write for a unit, its plural s left out."""

_MONTH = timedelta(days=30)


def _hint(text: str) -> str:
    if text.isascii() and text.isdigit() and text.strip("0"):
        return f"give it a unit: {text[:12]}d, {text[:12]}h …"
    if re.match(r"^0+[smhdwy]?$", text) or text.startswith("-"):
        return "a duration must be longer than zero: 1h, 90d, 5y"
    if (written := re.fullmatch(r"([1-9][0-9]{0,5})\s*([A-Za-z]+)", text)) is not None:
        number, word = int(written[1]), written[2]
        if word == "M" or word.lower() in {"mo", "mon", "mos", "month", "months"}:
            return f"m is minutes, and months differ: write {format_duration(number * _MONTH)} for {number} months"
        if (unit := _WORDS.get(word.lower()) or _WORDS.get(word.lower().removesuffix("s"))) is not None:
            return f"write {number}{unit}"
    return "write a whole number and one of s m h d w y: 12h, 90d, 5y (m is minutes)"
