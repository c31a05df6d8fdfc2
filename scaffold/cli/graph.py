"""`scaffold graph`: the topology as a picture."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from scaffold.cli.options import DEFAULT_FILE, File, Out


class Format(enum.StrEnum):
    """What draws the picture."""

    MERMAID = "mermaid"
    DOT = "dot"
    SVG = "svg"
    HTML = "html"


def run(
    file: File = DEFAULT_FILE,
    out: Out = None,
    format_: Annotated[
        Format,
        typer.Option("--format", help="Mermaid for Markdown, dot for Graphviz; svg, or html with details and search."),
    ] = Format.MERMAID,
) -> None:
    """Print the picture. Mermaid and dot are of the topology alone; svg and html show its state in DIR as well."""
    from scaffold.cli.project import read
    from scaffold.view import graph

    match format_:
        case Format.MERMAID:
            typer.echo("\n".join(graph.mermaid(read(file))))
        case Format.DOT:
            typer.echo("\n".join(graph.dot(read(file))))
        case Format.SVG | Format.HTML:
            typer.echo(_drawn(file, out, format_), nl=False)


def _drawn(file: Path, out: Path | None, format_: Format) -> str:
    from scaffold.cli.report import inventory_of
    from scaffold.view.graph_page import graph_page, graph_svg

    inventory = inventory_of(file, out)
    return graph_svg(inventory) if format_ is Format.SVG else graph_page(inventory)
