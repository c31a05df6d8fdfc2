"""What apply, renew and revoke end with: the plan is shown, asked about where it costs something, and carried out."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import typer

from scaffold.cli import failures
from scaffold.cli.apps import Apps
from scaffold.cli.clock import now
from scaffold.cli.project import Project, reopened
from scaffold.cli.source import source_at_hand, source_of
from scaffold.errors import Overtaken, PlanError

if TYPE_CHECKING:
    from scaffold.apply.run import Outcome
    from scaffold.plan.apps import MadeApp
    from scaffold.plan.make import Planned
    from scaffold.plan.model import Change, Plan
    from scaffold.plan.reach import Reach
    from scaffold.topology.address import Address

WAIT = 30.0
"""Seconds to wait for another apply on the same output folder."""

Make = Callable[[Project, "Overtaken | None"], "Planned"]
"""Makes the plan, and makes it again after it was overtaken: it is told what has changed."""

ATTEMPTS = 5
"""How often a plan is made again because another process, such as the publisher, wrote meanwhile."""


def _nothing() -> None:
    pass


def carry_out(
    project: Project,
    make: Make,
    *,
    yes: bool,
    json: bool,
    idle: str | None = None,
    consented: Callable[[], None] = _nothing,
    saved: str | None = None,
    apps: Apps | None = None,
) -> None:
    """Make the plan, show it, ask unless `yes`, and apply it; exit with 4 where a person's edit stood in the way.

    `idle` is said where nothing was to do; without it, that all is as the topology says. `consented` is called once,
    when nothing is asked any more and before anything is written. `saved` names the saved plan that this is. `apps`
    makes those of which the plan needs the templates.
    """
    from scaffold.view.progress import progress

    consent, making = _at_most_once(consented), apps if apps is not None else Apps()
    overtaken: Overtaken | None = None
    for attempts_left in reversed(range(ATTEMPTS)):
        try:
            with progress("Planning"):
                planned = make(project, overtaken)
            _carry_out(project, planned, yes=yes, json=json, idle=idle, consent=consent, saved=saved, apps=making)
        except Overtaken as error:
            if not attempts_left:
                raise
            overtaken = error
            typer.echo(f"{_what(project, error)} has changed meanwhile: planning again …", err=True)
            project = reopened(project)
        else:
            return


def _at_most_once(call: Callable[[], None]) -> Callable[[], None]:
    """Calls until it has succeeded, and then no more."""
    waiting = [call]

    def once() -> None:
        if waiting:
            waiting[0]()
            waiting.clear()

    return once


def _what(project: Project, overtaken: Overtaken) -> str:
    """What has changed, at the beginning of a sentence."""
    if overtaken.source is not None:
        return overtaken.source[0].upper() + overtaken.source[1:]
    return "The output folder" if overtaken.path is None else str(project.layout.out / overtaken.path)


def _carry_out(
    project: Project,
    planned: Planned,
    *,
    yes: bool,
    json: bool,
    idle: str | None,
    consent: Callable[[], None],
    saved: str | None,
    apps: Apps,
) -> None:
    from scaffold.apply import apply
    from scaffold.plan.reach import reaches
    from scaffold.plan.sources import check_unchanged
    from scaffold.store.secrets import Secrets
    from scaffold.view.progress import progress

    plan = planned.plan
    revoked = reaches(plan, planned.basis)
    secrets = Secrets(os.environ)
    if not json:
        _show(project, planned, revoked)
    costly = [change for change in plan.changes if change.asks]
    if costly and not yes:
        _ask(costly, planned, shown=not json)
    made_apps = _made(apps, planned)
    consent()
    if costly and not yes:
        check_unchanged(planned.basis)
    with progress("Applying", len(plan.changes)) as steps:
        outcome = apply(
            planned,
            secrets,
            lambda change: steps.done(str(change.address)),
            wait=WAIT,
            waiting=lambda holder: typer.echo(f"Waiting for another scaffold: {holder} …", err=True),
            randomness=(source_of if plan.changes else source_at_hand)(project.topology, secrets),
            saved=saved,
            made_apps=made_apps,
        )
    _tell(project, plan, outcome, revoked, idle, json=json)
    if outcome.undone:
        raise typer.Exit(failures.CONFLICT)


def _show(project: Project, planned: Planned, revoked: Sequence[Reach]) -> None:
    """The plan, and what it costs; where there is nothing to do, what is to be known all the same."""
    from scaffold.view.plan import note_lines, plan_lines
    from scaffold.view.reach import reach_lines
    from scaffold.view.reproducible import test_keys_lines
    from scaffold.view.terminal import show

    show(test_keys_lines(project.topology, now()))
    if planned.plan.changes:
        show(plan_lines(planned.plan))
        show(reach_lines(revoked))
    else:
        show(note_lines(map(str, planned.basis.lost)))


def _tell(
    project: Project, plan: Plan, outcome: Outcome, revoked: Sequence[Reach], idle: str | None, *, json: bool
) -> None:
    """What was done."""
    if json:
        from scaffold.view import programs

        typer.echo(programs.outcome_json(plan, outcome, revoked))
        return
    from scaffold.view.plan import outcome_lines
    from scaffold.view.reach import accepted_lines
    from scaffold.view.terminal import show

    show(outcome_lines(plan, outcome, project.layout.out, idle))
    show(accepted_lines(revoked))


def _made(apps: Apps, planned: Planned) -> Mapping[Address, MadeApp]:
    """The apps that a plan makes, before anything is written."""
    from scaffold.view.progress import progress

    with progress("Rendering"):
        return apps.of_plan(planned.plan, planned.basis.topology)


def _ask(costly: Sequence[Change], planned: Planned, *, shown: bool) -> None:
    """Raise PlanError unless a person on a terminal consents; `shown`: whether the plan is above."""
    from scaffold.plan.clock import doubt

    what, behind = _summed_up(costly), planned.plan.clock_behind
    said = doubt(planned.basis.now, behind) if behind is not None else None
    if not sys.stdin.isatty():
        if said is not None:
            hint = "nothing was written; set the clock, or rerun with --yes if it is right"
            raise PlanError(f"{said}; would {what}", hint=hint)
        where = "the plan above says why" if shown else "`scaffold plan` says why"
        raise PlanError(f"would {what}; rerun with --yes", hint=f"nothing was written; {where}")
    if said is not None:
        typer.echo(f"{said[0].upper()}{said[1:]}. Is the clock right now?", err=True)
    typer.echo(f"This would {what}.", err=True)
    if not typer.confirm("Do it?", default=False, err=True):
        raise PlanError("not confirmed; nothing was written")


NAMED = 5
"""Addresses that are named of each action; the others are counted."""


def _summed_up(changes: Sequence[Change]) -> str:
    """`revoke client.web.certificate; delete client.old.certificate, client.old.project`"""
    addresses: dict[str, list[str]] = {}
    for change in changes:
        addresses.setdefault(change.action.value, []).append(str(change.address))
    return "; ".join(f"{action} {_named(of_it)}" for action, of_it in addresses.items())


def _named(addresses: Sequence[str]) -> str:
    more = f" and {len(addresses) - NAMED:,} more" if len(addresses) > NAMED else ""
    return ", ".join(addresses[:NAMED]) + more
