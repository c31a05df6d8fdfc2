"""`scaffold doctor`: what the templates of this topology need, what this machine has, and how to install the rest."""

from __future__ import annotations

import typer

from scaffold.cli import failures
from scaffold.cli.options import DEFAULT_FILE, File, Json, Out


def run(file: File = DEFAULT_FILE, out: Out = None, json: Json = False) -> None:
    """Try each need; exit with 1 where one is missing."""
    from scaffold.cli.project import open_project
    from scaffold.running.doctor import examine
    from scaffold.view.doctor import doctor_json, doctor_lines, is_lacking
    from scaffold.view.terminal import columns, show

    project = open_project(file, out)
    needs = examine(project.topology, project.kinds, project.layout)
    if json:
        typer.echo(doctor_json(needs))
    else:
        show(doctor_lines(needs, columns()))
    if is_lacking(needs):
        raise typer.Exit(failures.ERROR)
