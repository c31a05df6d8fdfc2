"""What it takes to run rendered projects: that they are there, and that this machine has what their templates need.

Where one fails nevertheless, what differs from the topology is named.
"""

from __future__ import annotations

import contextlib
import enum
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from scaffold.cli.project import Project
from scaffold.errors import NotStarted, ScaffoldError, VerifyError
from scaffold.topology import graph
from scaffold.topology.address import Role
from scaffold.topology.model import HostPort, Party, Server

if TYPE_CHECKING:
    from scaffold.plan.model import Plan


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


@contextlib.contextmanager
def blaming_drift(plan: Callable[[], Plan]) -> Iterator[None]:
    """What differs from the topology is the likeliest reason that a server does not come up.

    `plan` is called once such an error is raised within: NotStarted, or one that says nothing of what helps. Where no
    plan can be made, the error stays as it is.
    """
    try:
        yield
    except VerifyError as error:
        has_a_reason = error.hint is not None and not isinstance(error, NotStarted)
        if has_a_reason or (differ := _differing(plan)) is None:
            raise
        restore = f"{differ} from the topology: `scaffold plan --diff` shows it, `scaffold apply` restores it"
        hint = f"{restore}; otherwise {error.hint}" if error.hint else restore
        raise VerifyError(error.message, place=error.place, hint=hint) from error


def _differing(plan: Callable[[], Plan]) -> str | None:
    """`server.api.trust differs`: what of a plan is drift; None for nothing."""
    from scaffold.plan.drift import drift_in_tls
    from scaffold.topology.messages import listed

    try:
        drift = drift_in_tls(plan())
    except ScaffoldError:
        return None
    if not drift:
        return None
    return f"{listed([change.address for change in drift])} {'differs' if len(drift) == 1 else 'differ'}"


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
