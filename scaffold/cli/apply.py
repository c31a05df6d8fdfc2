"""`scaffold apply`: does what plan says, and asks first where that costs something."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scaffold.cli import completing
from scaffold.cli.clock import now
from scaffold.cli.options import DEFAULT_FILE, File, Json, Out, Refresh, Trust, Yes
from scaffold.errors import Overtaken, PlanError

if TYPE_CHECKING:
    from scaffold.cli.apps import Apps
    from scaffold.cli.project import Project
    from scaffold.plan.basis import Basis
    from scaffold.plan.make import Planned
    from scaffold.plan.saved import Saved
    from scaffold.topology.address import Address


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
            help="Take the template's text in conflicts, write deleted files again, or make a PFX again; repeatable.",
        ),
    ] = None,
    update: Annotated[
        list[str] | None,
        typer.Option(
            "--update",
            metavar="ADDRESS",
            autocompletion=completing.servers,
            help="Merge a newer version of its template into the app of a server; repeatable.",
        ),
    ] = None,
    trust: Trust = None,
    json: Json = False,
    refresh: Refresh = False,
) -> None:
    """Plan (or read PLAN, which must still be today's), ask where a CA or a file is at stake, and carry it out."""
    from scaffold.cli.apps import Apps
    from scaffold.cli.plan_and_apply import carry_out
    from scaffold.cli.project import open_project

    project = open_project(file, out, trust or ())
    saved = _saved(plan_file, overwrite, update) if plan_file is not None else None
    given_up, newer = ([project.address(text) for text in texts or ()] for texts in (overwrite, update))
    apps = Apps(trust or ())
    apps.check(project.topology, project.kinds.values())
    planning = _Planning(now(), given_up, newer, apps, saved, refresh)
    digest = saved.digest if saved is not None else None
    carry_out(project, planning.make, yes=yes, json=json, saved=digest, apps=apps)
    if planning.lost_in is not None:
        _record_found(project, planning.lost_in, planning.moment, json=json)


@dataclass(slots=True)
class _Planning:
    """Makes the plan of one apply, and makes it again where it was overtaken.

    `given_up` are the addresses whose edits are overwritten, `newer` those of apps that are updated.
    """

    moment: datetime
    given_up: list[Address]
    newer: Sequence[Address]
    apps: Apps
    saved: Saved | None
    refresh: bool
    lost_in: Basis | None = None
    """What the last plan was made from, where it found that the ledger was lost."""

    def make(self, project: Project, overtaken: Overtaken | None) -> Planned:
        """Raises as `look` and `plan_all` do, and PlanError where a saved plan is not today's."""
        from scaffold.plan.basis import Asked
        from scaffold.plan.make import look, plan_all
        from scaffold.plan.saved import check_same

        if overtaken is not None and overtaken.path is not None:
            self.given_up.clear()  # whoever gave up a file gave up the text that was in it
        known = project.remembered(refresh=self.refresh)
        basis = look(project.topology, project.kinds, project.layout, self.moment, remembered=known)
        newer_apps = self.apps.asked_for(self.newer, project.topology)
        planned = plan_all(basis, Asked(overwrite=frozenset(self.given_up), newer_apps=newer_apps))
        self.lost_in = planned.basis if planned.basis.lost else None
        if self.saved is not None:
            check_same(self.saved, planned)
        return planned


def _record_found(project: Project, before: Basis, moment: datetime, *, json: bool) -> None:
    """After all else is done, so that a ledger that was lost is told of once more, and not for ever."""
    from scaffold.apply.recovery import record_found
    from scaffold.cli.plan_and_apply import WAIT
    from scaffold.cli.project import reopened
    from scaffold.plan.make import look

    now_there = reopened(project)
    found = record_found(lambda: look(now_there.topology, now_there.kinds, now_there.layout, moment), before, wait=WAIT)
    if not json and (found.certificates or found.revocations):
        said = f"certificates: {found.certificates:,}, revocations: {found.revocations:,}"
        typer.echo(f"Recorded in the state from the files in {before.observed.layout.out}: {said}.")


def _saved(plan_file: Path, overwrite: Sequence[str] | None, update: Sequence[str] | None) -> Saved:
    from scaffold.plan.saved import load_plan

    if overwrite or update:
        option = "--overwrite" if overwrite else "--update"
        raise PlanError("a saved plan is carried out as it is", hint=f"leave out {option}, or leave out the plan")
    return load_plan(plan_file)
