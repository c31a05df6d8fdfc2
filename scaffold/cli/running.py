"""What it takes to run rendered projects: that they are there, and that this machine has what their kinds need."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from scaffold.cli.project import Project
from scaffold.errors import VerifyError
from scaffold.topology.model import Party, Server

if TYPE_CHECKING:
    from scaffold.running.services import Launch


def project_folder(project: Project, party: Party) -> Path:
    """The rendered project of a server or client. Raises VerifyError where it has not been made or cannot run here."""
    from scaffold.store.layout import party_paths

    folder = project.layout.path(party_paths(party.address.role, party.name).folder)
    if not (folder / "run.sh").is_file():
        raise VerifyError(f"{party.address} has no project in {folder}", hint="run `scaffold apply` first")
    for group in project.kinds[party.address].capabilities.requires:
        if not any(shutil.which(command) for command in group):
            raise VerifyError(
                f"{party.address} needs {' or '.join(group)}, which is not on PATH", hint="install it, or extend PATH"
            )
    return folder


def launches(project: Project, servers: Iterable[Server]) -> list[Launch]:
    """How to start each of `servers` on its own address."""
    from scaffold.running.services import Launch

    return [
        Launch(server.name, project_folder(project, server), project.kinds[server.address].capabilities.ready or "")
        for server in servers
    ]
