"""What it takes to run rendered projects: that they are there, and that this machine has what their templates need."""

from __future__ import annotations

import enum
import os
import stat
from pathlib import Path

from scaffold.cli.project import Project
from scaffold.errors import VerifyError
from scaffold.topology import graph
from scaffold.topology.address import Role
from scaffold.topology.model import HostPort, Party, Server


class Ports(enum.StrEnum):
    """Where servers listen meanwhile."""

    FIXED = "fixed"
    AUTO = "auto"


def project_folder(project: Project, party: Party) -> Path:
    """The rendered project of a server or client. Raises VerifyError where it has not been made or cannot run here."""
    from scaffold.running.availability import Availability
    from scaffold.store.layout import party_paths

    folder = project.layout.path(party_paths(party.address.role, party.name).folder)
    _check_script(party, folder / "run.sh")
    missing = Availability(project.topology, project.kinds).missing_of(party)
    if missing is not None:
        raise VerifyError(missing, hint="install it, or extend PATH; `scaffold verify` skips what cannot run here")
    return folder


def anything_applied(project: Project) -> bool:
    """Whether anything that an apply makes is there: where some was lost, `apply` says what that costs, and asks."""
    from scaffold.store.layout import FOLDERS, LEDGER, PROJECTS, party_paths

    parties = (party for party in graph.parties(project.topology) if not party.is_external)
    made = [LEDGER, PROJECTS, FOLDERS[Role.CA], *(party_paths(one.address.role, one.name).tls for one in parties)]
    return any(_is_there(project.layout.at(place)) for place in made)


def _is_there(path: str) -> bool:
    """Whether it is, or may not be looked for."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def url(project: Project, server: Server, address: HostPort, path: str = "/") -> str:
    """The URL of a server that listens at `address`, by the protocol that it speaks."""
    return f"{project.kinds[server.address].capabilities.scheme}://{address}{path}"


def _check_script(party: Party, script: Path) -> None:
    from scaffold.store.files import store_error

    try:
        is_file = stat.S_ISREG(script.lstat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        raise VerifyError(
            f"{party.address} has no project in {script.parent}", hint="run `scaffold apply` first"
        ) from None
    except OSError as error:
        raise store_error("read", script, error) from error
    if not is_file:
        raise VerifyError(f"{script} is not an executable file", hint="see `scaffold plan`")
