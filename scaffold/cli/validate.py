"""`scaffold validate`: the YAML alone, of one topology or of several."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scaffold.cli.options import DEFAULT_FILE, File, Unused
from scaffold.errors import TopologyError

if TYPE_CHECKING:
    from scaffold.topology.model import Topology


def run(
    topologies: Annotated[
        list[Path] | None, typer.Argument(metavar="[TOPOLOGY]...", help="Check several files at once, instead of -f.")
    ] = None,
    file: File = DEFAULT_FILE,
    out: Unused = None,
    forbid_reproducible: Annotated[
        bool,
        typer.Option(
            "--forbid-reproducible",
            help="Fail if the topology is reproducible, whose keys anybody with the seed can make.",
        ),
    ] = False,
) -> None:
    """Load each topology, which checks everything that can be known without a disk or a clock."""
    from scaffold.cli.project import read
    from scaffold.plan.notes import minutes
    from scaffold.topology.mistakes import Mistakes

    mistakes = Mistakes()
    for each in topologies or [file]:
        with mistakes.gathering():
            topology = read(each)
            if forbid_reproducible:
                _check_not_reproducible(topology)
            typer.echo(
                f"{each}: valid: {_count(len(topology.cas), 'CA')}, {_count(len(topology.servers), 'server')}, "
                f"{_count(len(topology.clients), 'client')}."
            )
            for note in minutes(topology):
                typer.echo(f"note: {note}")
    mistakes.check()


def _check_not_reproducible(topology: Topology) -> None:
    if topology.reproducible is not None:
        raise TopologyError(
            (
                f"{topology.name} is reproducible, which --forbid-reproducible forbids: anybody with the seed can "
                "make its keys"
            ),
            place=topology.place("reproducible"),
            hint="take `reproducible` out, and choose another folder with --out: apply then makes random keys there",
        )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
