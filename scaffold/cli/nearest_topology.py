"""The topology of the folder that a person is in: there, or in the nearest folder above, as git finds a repository."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import typer

from scaffold.errors import TopologyError

DEFAULT_FILE = Path("topology.yaml")


def nearest(ctx: typer.Context, file: Path) -> Path:
    """`file` itself where it is there, or is not the default; else the one of that name in the nearest folder above.

    Says on standard error which one that is. None is looked for where topologies are given by name instead. Folders in
    which anybody may write, and those above them, are not looked at: what a topology names, and what was rendered from
    it, are programs. Raises TopologyError for one of another user, and for one in a folder of theirs.
    """
    if file != DEFAULT_FILE or os.path.lexists(file) or ctx.params.get("topologies"):
        return file
    for up, folder in _above(Path.cwd()):
        found = folder / file
        if found.is_file():
            _check_owner(found, up / file)
            if not ctx.resilient_parsing:  # a shell that completes a line is told nothing
                print(f"using {up / file}", file=sys.stderr)
            return up / file
    return file


def _above(folder: Path) -> Iterator[tuple[Path, Path]]:
    """Each folder above, with the way there, as far as nobody else could put a topology into it."""
    up = Path("..")
    for one in folder.parents:
        if one.stat().st_mode & stat.S_IWOTH:
            return
        yield up, one
        up /= ".."


def _check_owner(found: Path, shown: Path) -> None:
    """The file, a link to it, and the folder, which the output folder is made in."""
    owners = {found.stat().st_uid, found.lstat().st_uid, found.parent.stat().st_uid}
    if not owners <= {os.geteuid(), 0}:
        raise TopologyError(f"{shown} belongs to another user", hint=f"if you trust it, name it: -f {shown}")
