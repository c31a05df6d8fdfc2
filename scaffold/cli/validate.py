"""`scaffold validate`: the YAML alone."""

from __future__ import annotations

from typing import Annotated

import typer

from scaffold.cli.options import DEFAULT_FILE, File, Unused
from scaffold.errors import TopologyError


def run(
    file: File = DEFAULT_FILE,
    out: Unused = None,
    forbid_reproducible: Annotated[
        bool,
        typer.Option("--forbid-reproducible", help="Refuse a test environment, whose keys follow from a seed."),
    ] = False,
) -> None:
    """Load the topology, which checks everything that can be known without a disk or a clock."""
    from scaffold.cli.project import read
    from scaffold.plan.notes import minutes

    topology = read(file)
    if forbid_reproducible and topology.reproducible is not None:
        raise TopologyError(
            f"{topology.name} is reproducible, which --forbid-reproducible forbids: who knows the seed has its keys",
            place=topology.place("reproducible"),
            hint="take reproducible out: apply then makes keys that nobody can make again, in a folder of their own",
        )
    typer.echo(
        f"{file}: valid: {_count(len(topology.cas), 'CA')}, {_count(len(topology.servers), 'server')}, "
        f"{_count(len(topology.clients), 'client')}."
    )
    for note in minutes(topology):
        typer.echo(f"note: {note}")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
