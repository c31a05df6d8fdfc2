"""`scaffold resolve`: a person's edit and a template's change do not fit, and a person has decided."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from scaffold.cli import completing
from scaffold.cli.clock import now
from scaffold.cli.options import DEFAULT_FILE, File, Json, Out, Yes

if TYPE_CHECKING:
    from scaffold.cli.project import Project
    from scaffold.errors import Overtaken
    from scaffold.plan.make import Planned


def run(
    address: Annotated[
        str,
        typer.Argument(
            metavar="ADDRESS", autocompletion=completing.parties, help="The project, such as server.accounts."
        ),
    ],
    mine: Annotated[bool, typer.Option("--mine", help="Keep your text instead of FILE.merge.")] = False,
    theirs: Annotated[bool, typer.Option("--theirs", help="Take the template's text instead of FILE.merge.")] = False,
    file: File = DEFAULT_FILE,
    out: Out = None,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Take what is in each FILE.merge of a project, and bring that project up to date."""
    if mine and theirs:
        raise typer.BadParameter("excludes --theirs: give one of the two", param_hint="--mine")

    from scaffold.cli.plan_and_apply import carry_out
    from scaffold.cli.project import open_project
    from scaffold.plan.make import look
    from scaffold.plan.plan_subset import plan_resolution
    from scaffold.plan.projects import Resolution

    project = open_project(file, out)
    of = project.address(address)
    resolution = Resolution.MINE if mine else Resolution.THEIRS if theirs else Resolution.MERGED
    moment = now()

    def make(project: Project, overtaken: Overtaken | None) -> Planned:
        if overtaken is not None and overtaken.path is not None:
            raise overtaken  # a text that nobody has looked at is not decided on
        return plan_resolution(look(project.topology, project.kinds, project.layout, moment), of, resolution)

    carry_out(project, make, yes=yes, json=json)
