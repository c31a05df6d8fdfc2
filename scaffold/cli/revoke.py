"""`scaffold revoke`: a certificate is not believed any more, from this moment on."""

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
        str | None,
        typer.Argument(
            metavar="ADDRESS",
            autocompletion=completing.entities,
            help="Such as client.teller or server.accounts.certificate.",
        ),
    ] = None,
    reason: Annotated[
        str | None,
        typer.Option(
            "--reason",
            metavar="REASON",
            autocompletion=completing.reasons,
            help="A reason of RFC 5280, such as keyCompromise.  [required without --release]",
        ),
    ] = None,
    serial: Annotated[
        str | None, typer.Option("--serial", metavar="HEX", help="One certificate alone, which may be an earlier one.")
    ] = None,
    no_replace: Annotated[
        bool, typer.Option("--no-replace", help="Do not issue a new certificate until `renew ADDRESS`.")
    ] = False,
    release: Annotated[bool, typer.Option("--release", help="Lift a certificateHold instead.")] = False,
    file: File = DEFAULT_FILE,
    out: Out = None,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Plan what the revocation brings with it, ask, and carry it out."""
    _check_usage(address, reason, serial, no_replace=no_replace, release=release)

    from scaffold.cli.plan_and_apply import carry_out
    from scaffold.cli.project import open_project
    from scaffold.plan.intents import Intent, Release, Revoke, reason_of
    from scaffold.plan.make import look
    from scaffold.plan.plan_subset import plan_intents

    project = open_project(file, out)
    of = project.address(address) if address is not None else None
    intent: Intent
    if release and of is not None:
        intent = Release(of, serial)
    else:
        intent = Revoke(of, reason_of(reason or ""), not no_replace, serial)
    moment = now()

    def make(project: Project, overtaken: Overtaken | None) -> Planned:
        return plan_intents(look(project.topology, project.kinds, project.layout, moment), [intent])

    carry_out(project, make, yes=yes, json=json)


def _check_usage(
    address: str | None, reason: str | None, serial: str | None, *, no_replace: bool, release: bool
) -> None:
    if address is None and (serial is None or release):
        raise typer.BadParameter("give an ADDRESS, or the --serial of a certificate", param_hint="ADDRESS")
    if release and (reason is not None or no_replace):
        raise typer.BadParameter("lifts a hold: leave --reason and --no-replace out", param_hint="--release")
    if not release and reason is None:
        raise typer.BadParameter(
            "give a reason of RFC 5280: keyCompromise, superseded, certificateHold …", param_hint="--reason"
        )
