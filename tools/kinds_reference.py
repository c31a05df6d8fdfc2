"""Writes docs/built-in-templates.md from what the built-in templates declare.

python tools/kinds_reference.py            # a test fails where the file is not what this writes
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from scaffold.kinds.catalogue import Kind, builtins
from scaffold.view.templates import declared

PAGE = Path(__file__).parent.parent / "docs" / "built-in-templates.md"

OPENING = """\
# Built-in templates

<!-- Written by tools/kinds_reference.py from what the templates declare; change it there. -->

What each built-in template can do: look here before you choose one, or run `scaffold templates show NAME`, which prints
the same. Where a topology asks for something that its template does not declare, `plan` refuses it. The row *verify
notices if* lists what the tests break in a rendered project, one setting at a time: `verify` must notice each.
[Writing a template](templates.md) explains the fields.
"""


def page() -> str:
    """The whole page."""
    return "\n".join([OPENING, *_of("server"), *_of("client")])


def _of(role: str) -> Iterator[str]:
    yield f"## {role.capitalize()}s\n"
    for kind in builtins(role):
        yield from _section(kind)


def _section(kind: Kind) -> Iterator[str]:
    yield f"### `{kind.name}`, a {kind.role}\n"
    yield f"{kind.capabilities.summary[0].upper()}{kind.capabilities.summary[1:]}.\n"
    yield "| | |\n|---|---|"
    for about, what in declared(kind).items():
        if what != "none":
            yield f"| {about} | {_cell(what)} |"
    yield ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*").replace("<", "\\<")


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
