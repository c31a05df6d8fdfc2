"""`scaffold validate`: the YAML alone."""

from __future__ import annotations

import typer

from scaffold.cli.options import DEFAULT_FILE, File, Out


def run(file: File = DEFAULT_FILE, out: Out = None) -> None:
    """Load the topology, which checks everything that can be known without a disk or a clock."""
    from scaffold.cli.project import read
    from scaffold.plan.notes import minutes

    topology = read(file)
    typer.echo(
        f"{file}: valid: {_count(len(topology.cas), 'CA')}, {_count(len(topology.servers), 'server')}, "
        f"{_count(len(topology.clients), 'client')}."
    )
    for note in minutes(topology):
        typer.echo(f"note: {note}")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
