"""How templates are named on the command line."""

from __future__ import annotations

import enum
from typing import Annotated

import typer

from scaffold.cli import completing


class RoleName(enum.StrEnum):
    """What a template is for."""

    SERVER = "server"
    CLIENT = "client"


Template = Annotated[
    str,
    typer.Argument(
        metavar="TEMPLATE",
        autocompletion=completing.templates,
        help="A folder, a built-in template's name, or a repository.",
    ),
]
Role = Annotated[
    RoleName | None, typer.Option("--role", help="The role, if a server and a client template have the same name.")
]
