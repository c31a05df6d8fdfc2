"""What to write instead of text that is no YAML: the usual slips, by the parser's complaint and the line itself."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

_ESCAPE = "in double quotes a backslash begins an escape: write the path in single quotes, or with / instead"
_BRACKET = "a [ or { is not closed, or a comma is missing between two values; a text with `: ` in it needs quotes"
_INDENT = "this line is not indented like the others: keys of one mapping begin in one column"


def _cannot_begin(text: str) -> str:
    first = text[:1]
    if first == "\t":
        return "YAML is indented with spaces, not with tabs: put two spaces where the tab is"
    return f"a text that begins with {first} needs quotes: {_quoted(text)}"


def _anchored(text: str) -> str:
    if text.startswith("*"):
        return f"a text that begins with * needs quotes: {_quoted(text)}"
    return "after & the name of an anchor follows, as in `base: &common {key: ec-p256}`; a text needs quotes"


def _undefined(text: str) -> str:
    name = re.split(r"[\s,\]}]", text, maxsplit=1)[0]
    return f"there is no anchor `&{name[1:61]}` above its alias; text that begins with * needs quotes"


def _colon(text: str) -> str:
    return "a text with `: ` in it needs quotes, each key a line of its own, and a space follows each colon"


_HINTS: Final[tuple[tuple[str, Callable[[str], str]], ...]] = (
    ("tab character", lambda text: _cannot_begin("\t")),
    ("cannot start any token", _cannot_begin),
    ("undefined alias", _undefined),
    (r"scanning an (alias|anchor)", _anchored),
    (r"unknown escape|hexa?decimal", lambda text: _ESCAPE),
    ("scanning a (double-|single-)?quoted", lambda text: "the quote that begins here is not closed"),
    ("scanning a simple key", lambda text: "a key is followed by a colon and a space, as in `name: shop`"),
    ("flow (sequence|mapping)", lambda text: _BRACKET),
    (r"(mapping values|sequence entries) are not allowed|block sequence entries", _colon),
    ("duplicate anchor", lambda text: "give each anchor a name of its own"),
    (r"expected key|block end|'-' indicator", lambda text: _INDENT),
    ("node content", lambda text: "a text that begins with a comma or a bracket needs quotes"),
    ("block scalar", lambda text: "a text that begins with | or > needs quotes"),
    ("tag", lambda text: "leave the tag (!…) out"),
    ("incompatible YAML", lambda text: "leave the line %YAML out"),
)
"""The first whose expression is found in what libyaml or PyYAML's own parser says; both are meant by each."""


def syntax_hint(problem: str, line: str, column: int) -> str:
    """What to do about the parser's `problem` at `column` (from 1) of `line`."""
    text = line[column - 1 :]
    known = (hint(text) for pattern, hint in _HINTS if re.search(pattern, problem))
    return next(known, "a text with : { [ ] } , # & * ! | > ' \" % @ in it needs quotes")


def _quoted(text: str) -> str:
    """The plain scalar at the beginning of `text` in quotes, as it would be written."""
    scalar = re.split(r"\s#|[,\[\]{}]|: |\s*$", text, maxsplit=1)[0]
    return f'"{scalar[:60]}"'
