"""`scaffold add server`: one server more in the topology."""

from __future__ import annotations

from typing import Annotated

import typer

from scaffold.cli import completing
from scaffold.cli.options import DEFAULT_FILE, ApplyIt, File, Json, Out, Trust, Yes


def run(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name, a DNS label.")],
    called_by: Annotated[
        list[str] | None,
        typer.Option(
            "--called-by",
            metavar="A,B",
            autocompletion=completing.party_names,
            help="Servers and clients that may call it; with roles: '{alice: [reader], bob: []}'; repeatable.",
        ),
    ] = None,
    file: File = DEFAULT_FILE,
    out: Out = None,
    apply: ApplyIt = False,
    trust: Trust = None,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Add it, and show what that brings."""
    from scaffold.cli.add.entity import add_entity
    from scaffold.topology.address import Address

    add_entity(
        Address.server(name),
        ctx,
        file,
        out,
        called_by=called_by or (),
        apply=apply,
        yes=yes,
        json=json,
        trust=trust or (),
    )
