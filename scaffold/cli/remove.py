"""`scaffold remove`: one CA, server or client less in the topology, and the edges of its callers with it."""

from __future__ import annotations

from typing import Annotated

import typer

from scaffold.cli import completing
from scaffold.cli.options import DEFAULT_FILE, ApplyIt, File, Json, Out, Yes


def run(
    address: Annotated[
        str,
        typer.Argument(
            metavar="ADDRESS",
            autocompletion=completing.entities,
            help="Such as server.accounts, client.teller or ca.old.",
        ),
    ],
    file: File = DEFAULT_FILE,
    out: Out = None,
    apply: ApplyIt = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Take it out, and show what that brings."""
    from scaffold.cli.edited import Edit, finish
    from scaffold.errors import AddressError
    from scaffold.topology.address import Address
    from scaffold.topology.edit import callers_of, entities, remove
    from scaffold.topology.load import read_text

    text = read_text(file)
    old = Address.parse(address, known=entities(text, file))
    if old != old.entity:
        raise AddressError(f"{old} is a part of {old.entity}", hint=f"scaffold remove {old.entity}")
    after = remove(text, file, old)
    callers = callers_of(text, file, old)
    edges = f", and is not called by {', '.join(map(str, callers))} any more," if callers else ""
    edit = Edit(file, text, after, f"{old} is removed{edges}", f"{old} cannot be removed: ")
    finish(edit, out, apply=apply, yes=yes, json=json)
