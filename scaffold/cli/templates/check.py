"""`scaffold templates check`: the whole contract of a template, tried on its real server."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scaffold.cli import failures
from scaffold.cli.clock import now
from scaffold.cli.options import Json
from scaffold.cli.templates.options import Role, Template

if TYPE_CHECKING:
    from scaffold.contract.model import Check
    from scaffold.kinds.catalogue import Kind


def run(
    template: Template,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="CHECK", help="Run this check alone; repeatable.")
    ] = None,
    within: Annotated[
        float,
        typer.Option(
            "--within",
            metavar="SECONDS",
            min=0.1,
            help="How long a server may take to become ready.",
        ),
    ] = 120.0,
    role: Role = None,
    json: Json = False,
) -> None:
    """Render, start, reload, probe and break it in a temporary folder; exit with 5 where anything fails."""
    from scaffold.contract.run import check
    from scaffold.kinds import catalogue
    from scaffold.pki.randomness import OPERATING_SYSTEM
    from scaffold.view import programs
    from scaffold.view.templates import sum_lines
    from scaffold.view.terminal import show

    kind = catalogue.one_named(template, Path.cwd(), role)
    chosen = _chosen(kind, only or [])
    with _as_they_end(kind, chosen, json=json) as on_check:
        report = check(
            kind,
            kind.name if kind.builtin else str(kind.folder.resolve()),
            now(),
            only=chosen,
            within=within,
            on_check=on_check,
            randomness=OPERATING_SYSTEM,
        )
    if json:
        typer.echo(programs.contract_json(report))
    else:
        show(sum_lines(report))
    if report.failed:
        raise typer.Exit(failures.PROBE_FAILED)


@contextlib.contextmanager
def _as_they_end(kind: Kind, only: Sequence[str], *, json: bool) -> Iterator[Callable[[Check, int], None]]:
    """What is done with each check as it ends: for a person its line is printed, for a program it is counted."""
    from scaffold.contract.run import checks_of
    from scaffold.view.progress import progress
    from scaffold.view.templates import check_line, width_of
    from scaffold.view.terminal import show

    if json:
        with progress("Checking") as steps:
            yield lambda check, total: steps.done(check.name, total)
        return
    width = width_of(only or checks_of(kind))

    def on_check(check: Check, _: int) -> None:
        show([check_line(check, width)])
        sys.stdout.flush()

    yield on_check


def _chosen(kind: Kind, only: list[str]) -> list[str]:
    from difflib import get_close_matches

    from scaffold.contract.run import checks_of

    known = checks_of(kind)
    for name in only:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            meant = f'did you mean "{near[0]}"?' if near else f"there are {', '.join(known)}"
            raise typer.BadParameter(f'no such check "{name}": {meant}', param_hint="--only")
    return only
