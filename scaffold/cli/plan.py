"""`scaffold plan`: what apply would do, and why."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scaffold.cli import failures
from scaffold.cli.clock import now
from scaffold.cli.options import DEFAULT_FILE, File, Json, Out, Refresh, Trust

if TYPE_CHECKING:
    from scaffold.plan.make import Planned


def run(
    file: File = DEFAULT_FILE,
    out: Out = None,
    json: Json = False,
    diff: Annotated[bool, typer.Option("--diff", help="Show the text of changed files, never of secrets.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Exit with 3 if there are changes, or the state was lost.")
    ] = False,
    save: Annotated[Path | None, typer.Option("--save", metavar="PLAN", help="Save the plan for `apply PLAN`.")] = None,
    all_changes: Annotated[bool, typer.Option("--all", help="Show every change, also many that are alike.")] = False,
    no_keys: Annotated[
        bool, typer.Option("--no-keys", help="Plan without the private keys: a missing key is not a change.")
    ] = False,
    trust: Trust = None,
    refresh: Refresh = False,
) -> None:
    """Plan, print, and save where that is asked for."""
    if no_keys and save is not None:
        said = "cannot be saved, since apply needs the keys; save a plan where they are"
        raise typer.BadParameter(said, param_hint="--no-keys")
    from scaffold.cli.apps import check_trust_of_kinds, with_trust_notes
    from scaffold.cli.project import open_project
    from scaffold.plan.make import look, plan_all, plan_as_it_stands
    from scaffold.view.progress import progress

    project, moment = open_project(file, out, trust or ()), now()
    check_trust_of_kinds(trust or (), project.kinds.values(), project.topology)
    known = project.remembered(refresh=refresh)
    with progress("Planning"):
        basis = look(project.topology, project.kinds, project.layout, moment, remembered=known, keys_away=no_keys)
        # A certificate from elsewhere whose key is away cannot be judged: it stays as it is.
        planned = with_trust_notes(plan_as_it_stands(basis) if no_keys else plan_all(basis))
    plan = planned.plan
    if save is not None:
        from scaffold.plan.saved import save_plan

        save_plan(planned, save)
    if json:
        from scaffold.view import programs

        typer.echo(programs.plan_json(plan))
    else:
        _show(planned, diff=diff, all_changes=all_changes)
    if check and (planned.basis.lost or plan.awaits or not all(change.can_wait for change in plan.changes)):
        raise typer.Exit(failures.SOMETHING_DUE)


def _show(planned: Planned, *, diff: bool, all_changes: bool) -> None:
    """Prints the plan for a person, after the texts of changed files where there is to be a `diff`."""
    from scaffold.view.plan import diff_lines, plan_lines
    from scaffold.view.reproducible import test_keys_lines
    from scaffold.view.terminal import show

    show(test_keys_lines(planned.basis.topology, now()))
    if diff:
        from scaffold.plan.texts import texts

        for text in texts(planned):
            show(diff_lines(text.unified()))
    show(plan_lines(planned.plan, all_changes=all_changes))
