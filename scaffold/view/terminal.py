"""Text in styles: plain in a pipe, coloured on a terminal. Rich is imported for a terminal alone."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from typing import TextIO

Span = tuple[str, str]
"""Some text and its style in Rich's words (`"bold red"`), or no style (`""`)."""

Line = Sequence[Span]


def plain(text: str) -> Line:
    """A line without styles."""
    return [(text, "")]


def one_line(text: str) -> str:
    """`text` with control characters, line breaks and bidirectional overrides made visible as escapes.

    What comes from a certificate or a server must not move the cursor or reorder what a person reads.
    """
    return "".join(c if c.isprintable() or c == " " else c.encode("unicode_escape").decode() for c in text)


def is_terminal(stream: TextIO | None = None) -> bool:
    """Whether `stream` (standard output) is a terminal that a person looks at."""
    return (stream or sys.stdout).isatty() and os.environ.get("TERM") != "dumb"


def wants_colour(stream: TextIO | None = None) -> bool:
    """Whether `stream` is a terminal and `NO_COLOR` (no-color.org) is not set; `FORCE_COLOR` colours a pipe too."""
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or is_terminal(stream)


def columns() -> int | None:
    """How wide the terminal is that standard output is, or None where it is none (COLUMNS says it for a pipe too)."""
    return shutil.get_terminal_size().columns if is_terminal() or "COLUMNS" in os.environ else None


def wrapped(text: str, width: int) -> list[str]:
    """`text` in lines of `width`. Names and paths stay whole: they are there to be copied."""
    return textwrap.wrap(text, width, break_on_hyphens=False, break_long_words=False) or [""]


def fitted(text: str, columns: int | None, indent: int, least: int) -> list[str]:
    """`text` in lines that fit `columns` beside `indent`, none narrower than `least`; one line for a pipe (None)."""
    return [text] if columns is None else wrapped(text, max(columns - indent, least))


def show(lines: Iterable[Line], stream: TextIO | None = None) -> None:
    """Write `lines` to `stream` (standard output)."""
    out = stream or sys.stdout
    if wants_colour(out):
        _show_coloured(lines, out)
        return
    for line in lines:
        text = "".join(part for part, _ in line).rstrip() + "\n"
        out.write(text.encode(out.encoding or "utf-8", "backslashreplace").decode(out.encoding or "utf-8"))


def _show_coloured(lines: Iterable[Line], out: TextIO) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(file=out, highlight=False, markup=False, emoji=False, soft_wrap=True)
    for line in lines:
        console.print(Text.assemble(*line), soft_wrap=True)
