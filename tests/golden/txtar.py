"""Several text files in one, the txtar form of Go's tests: a comment, then for each file `-- NAME --` and its text."""

from __future__ import annotations

import re
from collections.abc import Mapping

_MARKER = re.compile(r"^-- (.+) --\n", re.MULTILINE)


def parse(text: str) -> tuple[str, dict[str, str]]:
    """The comment, and the files by name. Raises ValueError where a name stands twice."""
    comment, *rest = _MARKER.split(text)
    files: dict[str, str] = {}
    for name, body in zip(rest[::2], rest[1::2], strict=True):
        if name in files:
            raise ValueError(f"{name} stands twice")
        files[name] = body
    return comment, files


def build(comment: str, files: Mapping[str, str]) -> str:
    """The text that `parse` reads. Raises ValueError for what the form cannot hold: it knows no way to quote."""
    for name, body in files.items():
        if body and not body.endswith("\n"):
            raise ValueError(f"{name} does not end with a newline")
        if _MARKER.search(body):
            raise ValueError(f"{name} holds a line that begins another file")
    return comment + "".join(f"-- {name} --\n{body}" for name, body in files.items())
