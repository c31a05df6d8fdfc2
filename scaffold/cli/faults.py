"""`scaffold faults`: what a certificate can have wrong on purpose, and who notices."""

from __future__ import annotations

import typer

from scaffold.cli.options import Json


def run(json: Json = False) -> None:
    """Print each fault with what is wrong, who notices, and the rule."""
    from scaffold.topology.faults import ABOUT
    from scaffold.view.faults import fault_lines, faults_json
    from scaffold.view.terminal import show

    if json:
        typer.echo(faults_json(ABOUT))
    else:
        show(fault_lines(ABOUT))
