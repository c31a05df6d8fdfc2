"""`scaffold templates new`: a template to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scaffold.cli import completing
from scaffold.cli.templates.options import Role


def run(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new or empty folder.")],
    from_: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="TEMPLATE",
            autocompletion=completing.templates,
            help="Copy this one.  [default: a small server, forty lines]",
        ),
    ] = None,
    role: Role = None,
) -> None:
    """Write it; nothing that is there is overwritten."""
    from scaffold.kinds import catalogue

    source = catalogue.starter() if from_ is None else catalogue.one_named(from_, Path.cwd(), role)
    catalogue.copy(source, folder)
    typer.echo(f"{folder} is a template for a {source.role}: {source.capabilities.summary}")
    typer.echo(f"Next: scaffold templates check {folder}")
