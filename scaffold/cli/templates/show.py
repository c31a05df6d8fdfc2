"""`scaffold templates show`: what a template declares."""

from __future__ import annotations

from pathlib import Path

import typer

from scaffold.cli.options import Json
from scaffold.cli.templates.options import Role, Template


def run(template: Template, role: Role = None, json: Json = False) -> None:
    """Print what it declares; where a name is a server's and a client's, both are shown."""
    from scaffold.kinds import catalogue
    from scaffold.view import programs
    from scaffold.view.templates import show_lines
    from scaffold.view.terminal import columns, show

    kinds = catalogue.named(template, Path.cwd(), role.value if role else None)
    if json:
        typer.echo(programs.templates_json(kinds))
        return
    for number, kind in enumerate(kinds):
        if number:
            typer.echo()
        show(show_lines(kind, columns()))
