"""`scaffold apply`: does what plan says, and asks first where that costs something."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scaffold.cli import completing
from scaffold.cli.clock import now
from scaffold.cli.options import DEFAULT_FILE, File, Json, Out, Refresh, Trust, Yes
from scaffold.errors import Overtaken, PlanError

if TYPE_CHECKING:
    from scaffold.cli.project import Project
    from scaffold.plan.basis import Basis
    from scaffold.plan.make import Planned
    from scaffold.plan.saved import Saved


def run(
    plan_file: Annotated[Path | None, typer.Argument(metavar="[PLAN]", help="A plan that `plan --save` wrote.")] = None,
    file: File = DEFAULT_FILE,
    out: Out = None,
    yes: Yes = False,
    overwrite: Annotated[
        list[str] | None,
        typer.Option(
            "--overwrite",
            metavar="ADDRESS",
            autocompletion=completing.parties,
            help="Take the template's text in conflicts, bring back deleted files, or make a PFX anew; repeatable.",
        ),
    ] = None,
    update: Annotated[
        list[str] | None,
        typer.Option(
            "--update",
            metavar="ADDRESS",
            autocompletion=completing.servers,
            help="Merge what the template of a server's app makes now into the app that is there; repeatable.",
        ),
    ] = None,
    trust: Trust = None,
    json: Json = False,
    refresh: Refresh = False,
) -> None:
    """Plan (or read PLAN, which must still be today's), ask where a CA or a file is at stake, and carry it out."""
    from scaffold.cli.apps import Apps
    from scaffold.cli.plan_and_apply import carry_out
    from scaffold.cli.project import open_project, reopened
    from scaffold.plan.basis import Asked
    from scaffold.plan.make import look, plan_all
    from scaffold.plan.saved import check_same

    project = open_project(file, out)
    saved = _saved(plan_file, overwrite, update) if plan_file is not None else None
    moment, given_up = now(), [project.address(text) for text in overwrite or ()]
    newer, apps = [project.address(text) for text in update or ()], Apps(trust or ())
    apps.check(project.topology)
    bases: list[Basis] = []

    def make(project: Project, overtaken: Overtaken | None) -> Planned:
        if overtaken is not None and overtaken.path is not None:
            given_up.clear()  # whoever gave up a file gave up the text that was in it
        known = project.remembered(refresh=refresh)
        basis = look(project.topology, project.kinds, project.layout, moment, remembered=known)
        newer_apps = apps.asked_for(newer, project.topology)
        planned = plan_all(basis, Asked(overwrite=frozenset(given_up), newer_apps=newer_apps))
        bases.append(planned.basis)
        if saved is not None:
            check_same(saved, planned)
        return planned

    carry_out(project, make, yes=yes, json=json, saved=saved.digest if saved is not None else None, apps=apps)
    if bases[-1].lost:
        project = reopened(project)
        _record_found(lambda: look(project.topology, project.kinds, project.layout, moment), bases[-1], json=json)


def _record_found(look: Callable[[], Basis], before: Basis, *, json: bool) -> None:
    """After all else is done, so that a ledger that was lost is told of once more, and not for ever."""
    from scaffold.apply.recovery import record_found
    from scaffold.cli.plan_and_apply import WAIT

    found = record_found(look, before, wait=WAIT)
    if not json and (found.certificates or found.revocations):
        said = f"certificates: {found.certificates:,}, revocations: {found.revocations:,}"
        typer.echo(f"Recorded in the ledger from what is in {before.observed.layout.out}: {said}.")


def _saved(plan_file: Path, overwrite: Sequence[str] | None, update: Sequence[str] | None) -> Saved:
    from scaffold.plan.saved import load_plan

    if overwrite or update:
        option = "--overwrite" if overwrite else "--update"
        raise PlanError("a saved plan is carried out as it is", hint=f"leave out {option}, or leave out the plan")
    return load_plan(plan_file)
