"""`scaffold completion`: what a shell needs to complete verbs, options and the addresses of the topology at hand."""

from __future__ import annotations

import enum
from typing import Annotated

import typer

from scaffold.cli.options import DEFAULT_FILE, Unused, UnusedFile

VARIABLE = "_SCAFFOLD_COMPLETE"
"""Tells a command that a shell asks it what may stand next."""


class Shell(enum.StrEnum):
    """The shells that are known."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def run(
    shell: Annotated[Shell, typer.Argument(help="Whose script is printed.")],
    file: UnusedFile = DEFAULT_FILE,
    out: Unused = None,
) -> None:
    """Print the script, for the shell to read when it starts."""
    from typer.completion import get_completion_script  # type: ignore[attr-defined]

    typer.echo(get_completion_script(prog_name="scaffold", complete_var=VARIABLE, shell=shell.value))
