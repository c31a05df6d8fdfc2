"""`scaffold rename`: another name for a CA, server or client, in the topology and in the output folder."""

from __future__ import annotations

from typing import Annotated

import typer

from scaffold.cli import completing
from scaffold.cli.options import DEFAULT_FILE, ApplyIt, File, Json, Out, Yes


def run(
    address: Annotated[
        str,
        typer.Argument(
            metavar="ADDRESS", autocompletion=completing.parties, help="Such as server.accounts or client.teller."
        ),
    ],
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its new name.")],
    file: File = DEFAULT_FILE,
    out: Out = None,
    apply: ApplyIt = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Rename it wherever it is named, move what was made for it, and show what that brings."""
    from scaffold.cli.clock import now
    from scaffold.cli.edited import Edit, show_next, valid
    from scaffold.errors import AddressError
    from scaffold.store import lock, moving
    from scaffold.topology.address import Address
    from scaffold.topology.edit import entities
    from scaffold.topology.load import read_text
    from scaffold.topology.renaming import rename

    text = read_text(file)
    old = Address.parse(address, known=entities(text, file))
    if old != old.entity:
        raise AddressError(f"{old} is a part of {old.entity}", hint=f"scaffold rename {old.entity} {name}")
    new = Address(old.role, name)
    edit = Edit(file, text, rename(text, file, old, name), f"{old} is now {new}", f"{old} cannot be renamed: ")
    project = valid(edit, out)
    moved = False
    if project.layout.out.exists():
        with lock.hold(project.layout, now()):
            edit.check()
            moved = moving.move(project.layout, old, new, now())
            edit.write()
    else:
        edit.write()
    if moved:
        folder = f"{old.role.section}/"
        typer.echo(f"{folder}{old.name} is now {folder}{new.name}: restart the programs that run from there.", err=True)
    show_next(edit, project, out, apply=apply, yes=yes, json=json)
