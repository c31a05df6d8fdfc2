"""`scaffold graph`: the topology as a picture in text."""

from __future__ import annotations

import enum
from typing import Annotated

import typer

from scaffold.cli.options import DEFAULT_FILE, File, Unused


class Format(enum.StrEnum):
    """What draws the picture."""

    MERMAID = "mermaid"
    DOT = "dot"


def run(
    file: File = DEFAULT_FILE,
    out: Unused = None,
    format_: Annotated[
        Format, typer.Option("--format", help="Mermaid for Markdown, dot for Graphviz.")
    ] = Format.MERMAID,
) -> None:
    """Print the picture; nothing is read but the topology."""
    from scaffold.cli.project import read
    from scaffold.view import graph

    topology = read(file)
    lines = graph.mermaid(topology) if format_ is Format.MERMAID else graph.dot(topology)
    typer.echo("\n".join(lines))
