"""`scaffold renew`: later dates over the same keys, once or, with `--watch`, for as long as it runs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scaffold.cli import completing
from scaffold.cli.clock import now
from scaffold.cli.options import DEFAULT_FILE, File, Json, Out, Yes
from scaffold.errors import PlanError

if TYPE_CHECKING:
    from scaffold.cli.project import Project
    from scaffold.errors import Overtaken
    from scaffold.plan.make import Planned
    from scaffold.topology.model import Topology


def run(
    addresses: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ADDRESS",
            autocompletion=completing.entities,
            help="The certificate to renew.  [default: all that are due]",
        ),
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Keep running, and renew whatever becomes due, until TERM or Ctrl-C.")
    ] = False,
    file: File = DEFAULT_FILE,
    out: Out = None,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Renew certificates; CRLs and staples that are due are signed again with them."""
    if watch:
        if addresses:
            raise typer.BadParameter("renews all that is due: leave ADDRESS out", param_hint="--watch")
        _watch(file, out)
        return

    from scaffold.cli.plan_and_apply import carry_out
    from scaffold.cli.project import open_project
    from scaffold.plan.intents import Renew
    from scaffold.plan.make import look
    from scaffold.plan.plan_subset import plan_due, plan_intents, refusal

    project = open_project(file, out)
    moment = now()
    intents = [Renew(project.address(address)) for address in addresses or ()]

    def make(project: Project, overtaken: Overtaken | None) -> Planned:
        if project.topology.reproducible is not None:
            raise _decided_by_at(project.topology)
        basis = look(project.topology, project.kinds, project.layout, moment)
        if basis.observed.ledger.topology is None and not basis.ledger.issued:
            raise PlanError("nothing was issued here yet, so nothing can be renewed", hint="`scaffold apply` issues")
        if intents:
            return plan_intents(basis, intents)
        due = plan_due(basis)
        if due.waits_for:
            raise refusal(due.waits_for)
        return due.planned

    carry_out(
        project, make, yes=yes, json=json, idle="Nothing is due. `scaffold plan` shows whether there are other changes."
    )


def _decided_by_at(t: Topology) -> PlanError:
    return PlanError(
        f"{t.name} is reproducible: the dates of its certificates follow from its `at`",
        hint="move `at` in the topology, then run `scaffold apply`",
    )


def _watch(file: Path, out: Path | None) -> None:
    """One JSON object a line on standard output says what was done."""
    from scaffold.cli.project import open_project
    from scaffold.pki.randomness import OPERATING_SYSTEM
    from scaffold.running.watch import World, ending_on_signals, watch
    from scaffold.store.secrets import Secrets
    from scaffold.view.log import json_line
    from scaffold.view.reasons import sentences

    def look() -> World:
        project = open_project(file, out)
        return World(project.topology, project.kinds, project.layout)

    def log(event: Mapping[str, object]) -> None:
        print(json_line(event), flush=True)

    world = look()  # what cannot even be read at the start is an error and no line of the log
    if world.topology.reproducible is not None:
        raise _decided_by_at(world.topology)
    with ending_on_signals() as told_to_end:
        watch(look, now, Secrets(os.environ), log, sentences, told_to_end, OPERATING_SYSTEM)
