"""`scaffold templates list`: the built-in templates."""

from __future__ import annotations

import typer

from scaffold.cli.options import Json


def run(json: Json = False) -> None:
    """Print a line for each; nothing is run."""
    from scaffold.kinds import catalogue
    from scaffold.kinds.capabilities import ROLES
    from scaffold.view import programs
    from scaffold.view.templates import list_lines
    from scaffold.view.terminal import columns, show

    kinds = [kind for role in ROLES for kind in catalogue.builtins(role)]
    if json:
        typer.echo(programs.templates_json(kinds))
    else:
        show(list_lines(kinds, columns()))
