"""The options that every verb has."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scaffold.cli.nearest_topology import DEFAULT_FILE as DEFAULT_FILE
from scaffold.cli.nearest_topology import nearest

File = Annotated[
    Path,
    typer.Option(
        "-f",
        "--file",
        metavar="FILE",
        callback=nearest,
        help="The topology: here, or in the nearest folder above.",
    ),
]
NewFile = Annotated[Path, typer.Option("-f", "--file", metavar="FILE", help="The topology.")]
"""The same where it is written: here."""
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", help="The output folder.  [default: the topology's name, beside FILE]"),
]
Unused = Annotated[Path | None, typer.Option("--out", hidden=True)]
"""`--out` where it means nothing: it is taken on every verb, and shown where it says something."""
UnusedFile = Annotated[Path, typer.Option("-f", "--file", hidden=True)]
"""The same of `--file`."""
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Refresh = Annotated[
    bool, typer.Option("--refresh", help="Examine every certificate again, also those that have not changed.")
]
Yes = Annotated[
    bool, typer.Option("--yes", help="Do not ask before a CA is replaced or something is revoked or deleted.")
]
Trust = Annotated[
    list[str] | None,
    typer.Option(
        "--trust",
        metavar="TEMPLATE[@VERSION]",
        help="Allow a template of somebody else's to run code, at this VERSION alone; remembered; repeatable.",
    ),
]
ApplyIt = Annotated[bool, typer.Option("--apply", help="Also apply the plan, as `scaffold apply` does.")]
