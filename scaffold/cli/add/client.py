"""`scaffold add client`: one client more in the topology."""

from __future__ import annotations

from typing import Annotated

import typer

from scaffold.cli.options import DEFAULT_FILE, ApplyIt, File, Json, Out, Trust, Yes


def run(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name, a DNS label.")],
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

    add_entity(Address.client(name), ctx, file, out, apply=apply, yes=yes, json=json, trust=trust or ())
