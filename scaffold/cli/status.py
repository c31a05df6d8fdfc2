"""`scaffold status`: every certificate and CRL, and its days left."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from scaffold.cli import failures
from scaffold.cli.clock import now
from scaffold.cli.options import DEFAULT_FILE, File, Json, Out


def run(
    file: File = DEFAULT_FILE,
    out: Out = None,
    json: Json = False,
    within: Annotated[
        str | None,
        typer.Option(
            "--within", metavar="TIME", help="Count certificates that expire within TIME, such as 14d, as due."
        ),
    ] = None,
) -> None:
    """Print the table; exit with 3 where something is due, missing or expired, or the ledger was lost."""
    from scaffold.cli.project import open_project
    from scaffold.plan.make import look, plan_as_it_stands
    from scaffold.plan.status import status
    from scaffold.view.reproducible import test_keys_lines
    from scaffold.view.status import status_json, status_lines
    from scaffold.view.terminal import show

    window = _duration(within) if within is not None else None
    project = open_project(file, out)
    moment = now()
    planned = plan_as_it_stands(look(project.topology, project.kinds, project.layout, moment))
    found = status(planned, window, clock=moment)
    if json:
        typer.echo(status_json(found))
    else:
        show(test_keys_lines(project.topology, moment))
        show(status_lines(found, moment))
    if not found.fine:
        raise typer.Exit(failures.SOMETHING_DUE)


def _duration(text: str) -> timedelta:
    from scaffold.topology.durations import parse_duration
    from scaffold.topology.messages import Invalid

    try:
        return parse_duration(text)
    except Invalid as error:
        said = f"{error.message}: {error.hint}" if error.hint else error.message
        raise typer.BadParameter(said, param_hint="--within") from error
