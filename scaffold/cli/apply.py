"""`scaffold apply`: does what plan says, and asks first where that costs something."""

from __future__ import annotations

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
    from scaffold.view import programs
    from scaffold.view.plan import plan_lines
    from scaffold.view.terminal import show


def questions(plan: Plan) -> Sequence[Change]:
    """The changes that are made only with a person's consent: a CA's new key, and whatever is deleted or revoked."""
    from scaffold.plan.model import Action

    def is_costly(change: Change) -> bool:
        match change.action:
            case Action.DELETE | Action.REVOKE:
                return True
            case Action.REPLACE:
                return change.address.startswith("ca.")
            case _:
                return False

    return [change for change in plan.changes if is_costly(change)]


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
