"""`scaffold verify`: proves by real handshakes who gets in and who does not."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from scaffold.cli import completing, failures
from scaffold.cli.clock import now
from scaffold.cli.options import DEFAULT_FILE, File, Json, Out
from scaffold.cli.running import Ports, blaming_drift
from scaffold.errors import StoreError

if TYPE_CHECKING:
    from datetime import datetime

    from scaffold.cli.project import Project
    from scaffold.plan.make import Planned
    from scaffold.topology.address import Address
    from scaffold.verify.model import Report

_OF_JUNIT: Final = b'<testsuites name="scaffold verify '
"""By which a report is known that this verb wrote."""


def run(
    file: File = DEFAULT_FILE,
    out: Out = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only", metavar="ADDRESS", autocompletion=completing.parties, help="One server or client alone."
        ),
    ] = None,
    ports: Annotated[Ports, typer.Option("--ports", help="auto: use a free port for every server.")] = Ports.FIXED,
    running: Annotated[
        bool,
        typer.Option("--running", help="Start nothing: probe the servers that run already, each at its `address`."),
    ] = False,
    json: Json = False,
    junit: Annotated[
        Path | None, typer.Option("--junit", metavar="REPORT", help="Write JUnit XML for CI systems as well.")
    ] = None,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict",
            help="Count a probe as failed if this machine lacks what it needs, or nobody may call the server.",
        ),
    ] = False,
    all_checks: Annotated[
        bool, typer.Option("--all", help="Show each check in a row of its own, instead of one block for each server.")
    ] = False,
) -> None:
    """Plan, probe, report; exit with 5 where anything failed, or nothing could be tried."""
    from scaffold.cli.documents import check_replaceable, write_document
    from scaffold.cli.project import open_project
    from scaffold.view import programs
    from scaffold.view.glance import glance_lines
    from scaffold.view.junit import report_junit
    from scaffold.view.terminal import columns, show
    from scaffold.view.verify import report_lines

    if only is not None and len(only) > 1:
        raise typer.BadParameter("it takes one server or client; without it, all are tried", param_hint="--only")
    if running and ports is Ports.AUTO:
        raise typer.BadParameter(
            "it is for servers that are started here, and --running starts none", param_hint="--ports"
        )
    if junit is not None and not junit.parent.is_dir():
        raise StoreError(f"there is no folder {junit.parent}", hint="make it first, or name another file with --junit")
    if junit is not None:
        check_replaceable(junit, _OF_JUNIT, "--junit")
    project = open_project(file, out)
    one = project.address(only[0]) if only else None
    report = _probe_running(project, one) if running else _verify(project, one, ports)
    _keep(project, report, started=not running)
    if junit is not None:
        write_document(junit, report_junit(report, project.topology.name, now()), _OF_JUNIT, "--junit")
    if json:
        typer.echo(programs.report_json(report))
    else:
        kinds = {server.name: server.template for server in project.topology.servers.values()}
        lines = report_lines if all_checks else glance_lines
        show(lines(report, kinds, columns()))
    if report.failed or (strict and _lacks(project, report)):
        raise typer.Exit(failures.PROBE_FAILED)


def _probe_running(project: Project, only: Address | None) -> Report:
    from scaffold.pki.randomness import OPERATING_SYSTEM
    from scaffold.store.secrets import Secrets
    from scaffold.verify.what_runs import verify_running
    from scaffold.view.progress import progress
    from scaffold.view.verify import AsProgress

    moment = now()
    _warn_of_another_clock(moment)
    planned = _plan(project, moment)
    with progress("Preparing") as steps:
        return verify_running(
            project.topology,
            project.kinds,
            project.layout,
            moment,
            Secrets(os.environ),
            plan=planned.plan,
            revoked=planned.basis.ledger.revoked.keys(),
            only=only,
            listener=AsProgress(steps),
            randomness=OPERATING_SYSTEM,
        )


def _plan(project: Project, moment: datetime) -> Planned:
    from scaffold.plan.make import look, plan_all
    from scaffold.view.progress import progress

    with progress("Planning"):
        return plan_all(look(project.topology, project.kinds, project.layout, moment))


def _verify(project: Project, only: Address | None, ports: Ports) -> Report:
    from scaffold.pki.randomness import OPERATING_SYSTEM
    from scaffold.store.secrets import Secrets
    from scaffold.verify.run import verify
    from scaffold.view.progress import progress
    from scaffold.view.verify import AsProgress

    moment = now()
    _warn_of_another_clock(moment)
    planned = _plan(project, moment)
    with blaming_drift(lambda: planned.plan), progress("Preparing") as steps:
        return verify(
            project.topology,
            project.kinds,
            project.layout,
            moment,
            Secrets(os.environ),
            plan=planned.plan,
            revoked=planned.basis.ledger.revoked.keys(),
            only=only,
            ports=ports.value,
            listener=AsProgress(steps),
            randomness=OPERATING_SYSTEM,
        )


def _keep(project: Project, report: Report, *, started: bool) -> None:
    """What was seen, for `explain` and `report`. A run of a part leaves what is known of the others.

    What the files here were is kept where these were `started`: what runs already may be of other files.
    """
    from scaffold.store import projects
    from scaffold.verify import last_run

    layout = project.layout
    folders = last_run.folders_tried(project.topology, layout, projects.load(layout), report) if started else {}
    last_run.save(layout, last_run.updated(last_run.load(layout), report, now(), folders))


def _warn_of_another_clock(moment: datetime) -> None:
    """Each probe would fail for it, and none could say so."""
    from scaffold.running.clocks import another_clock

    if (there := another_clock(moment)) is not None:
        typer.echo(
            f"note: the clock of this process says {moment:%Y-%m-%d %H:%M} UTC, and that of the servers and "
            f"clients which it starts {there:%Y-%m-%d %H:%M} UTC; they judge certificates by theirs (a clock set "
            "for this process alone, as by faketime, is not passed on)",
            err=True,
        )


def _lacks(project: Project, report: Report) -> bool:
    """Whether a check was skipped for what this machine lacks, or for want of a caller; says what."""
    from scaffold.running.availability import Availability
    from scaffold.verify.cases import nobody_may_call
    from scaffold.verify.model import Result
    from scaffold.verify.tls import cannot_probe

    reasons = {*Availability(project.topology, project.kinds).missing.values()}
    reasons |= {reason for server in project.topology.servers.values() if (reason := cannot_probe(server))}
    reasons |= set(map(nobody_may_call, project.topology.servers.values()))
    skipped = dict.fromkeys(check.detail for check in report.checks if check.result is Result.SKIPPED)
    lacking = [reason for reason in skipped if reason in reasons]
    for reason in lacking:
        typer.echo(f"strict: {reason}", err=True)
    return bool(lacking)
