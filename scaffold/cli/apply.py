"""`scaffold apply`: does what plan says, and asks first where that costs something."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scaffold.cli import failures
from scaffold.cli.clock import now
from scaffold.cli.options import DEFAULT_FILE, File, Json, Out, Yes
from scaffold.errors import PlanError

if TYPE_CHECKING:
    from scaffold.plan.model import Change, Plan

WAIT = 30.0
"""Seconds to wait for another apply on the same output folder."""


def run(
    plan_file: Annotated[Path | None, typer.Argument(metavar="[PLAN]", help="A plan that `plan --save` wrote.")] = None,
    file: File = DEFAULT_FILE,
    out: Out = None,
    yes: Yes = False,
    overwrite: Annotated[
        list[str] | None,
        typer.Option(
            "--overwrite", metavar="ADDRESS", help="Take the template's text over a person's edit; repeatable."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Plan (or read PLAN, which must still be today's), ask where a CA or a file is at stake, and carry it out."""
    from scaffold.apply import apply
    from scaffold.cli.project import open_project
    from scaffold.plan.make import make_plan
    from scaffold.store.secrets import Secrets
    from scaffold.view import programs
    from scaffold.view.plan import outcome_lines, plan_lines
    from scaffold.view.progress import progress
    from scaffold.view.terminal import show

    project = open_project(file, out)
    moment = now()
    plan = make_plan(project.topology, project.kinds, project.layout, moment, overwrite=overwrite or ())
    if plan_file is not None:
        _check_saved(plan_file, plan, overwrite)
    if plan.changes and not json:
        show(plan_lines(plan))
    costly = [change for change in plan.changes if change.asks]
    if costly and not yes:
        _ask(costly)
    with progress("Applying", len(plan.changes)) as advance:
        outcome = apply(
            plan,
            project.topology,
            project.kinds,
            project.layout,
            moment,
            Secrets(os.environ),
            lambda change: advance(len(plan.changes)),
            wait=WAIT,
            waiting=lambda holder: typer.echo(f"Waiting for another scaffold: {holder} …", err=True),
        )
    if json:
        typer.echo(programs.outcome_json(plan, outcome))
    else:
        show(outcome_lines(plan, outcome, project.layout.out))
    if outcome.undone:
        raise typer.Exit(failures.CONFLICT)


def _check_saved(plan_file: Path, today: Plan, overwrite: Sequence[str] | None) -> None:
    """Raise PlanError unless the saved plan is the one that would be made now."""
    from scaffold.plan.saved import check_same, load_plan

    if overwrite:
        raise PlanError("a saved plan is carried out as it is", hint="leave out --overwrite, or leave out the plan")
    check_same(load_plan(plan_file), today)


def _ask(costly: Sequence[Change]) -> None:
    """Raise PlanError unless a person on a terminal consents."""
    what = "; ".join(f"{change.action} {change.address} ({change.reasons[0].message})" for change in costly)
    if not sys.stdin.isatty():
        raise PlanError(
            f"this must be asked first, and there is no terminal to ask on: {what}",
            hint="look at `scaffold plan`, then say --yes; nothing was written",
        )
    typer.echo(f"This would {what}.", err=True)
    if not typer.confirm("Do it?", default=False, err=True):
        raise PlanError("not confirmed; nothing was written")
