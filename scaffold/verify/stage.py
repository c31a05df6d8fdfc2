"""The topology running on this machine for the time of a verification: its servers, and the places of false ones."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from scaffold.errors import VerifyError
from scaffold.kinds.catalogue import Kind
from scaffold.publish.placement import Placed, Placements, Ports, launch, moved_callees, place
from scaffold.publish.services import Launch, Services, free_addresses
from scaffold.settings import server_name
from scaffold.store.layout import Layout, party_paths
from scaffold.topology.model import HostPort, Party, Server
from scaffold.verify.impostor import Impostor
from scaffold.verify.probe import Target


class Stage:
    """Where everything is while the probes run.

    Some servers run twice: as they are, and as a copy. The callees of a copy are impostors, so that what it makes of a
    false callee can be seen, and its CRLs include those of the rogue CAs. That a folder runs elsewhere is proved by it.
    """

    def __init__(
        self,
        placements: Placements,
        copies: Mapping[str, Placed],
        impostors: Mapping[tuple[str, str], Impostor],
        services: Services,
    ) -> None:
        self._placements = placements
        self._copies = copies
        self._impostors = impostors
        self._services = services

    def target(self, server: Server) -> Target:
        """Where the server itself is, and what it is called."""
        return Target(self._placements[server.name].address, server_name(server))

    def health(self, server: Server) -> HostPort | None:
        return self._placements[server.name].health

    def elsewhere(self, server: Server) -> bool:
        """Whether its rendered callers must be told where it is."""
        return self._placements[server.name].elsewhere

    def copy_of(self, server: Server) -> Target:
        """Where the copy is whose callees are impostors."""
        return Target(self._copies[server.name].address, server_name(server))

    def impostor(self, caller: Server, callee: Server) -> Impostor:
        """Who stands in the place of `callee` for the copy of `caller`."""
        return self._impostors[caller.name, callee.name]

    def check_alive(self) -> None:
        """Raise VerifyError, with its last lines, for a server that ended while it was probed."""
        for service in self._services:
            if not service.running:
                raise VerifyError(service.epitaph())


@contextlib.contextmanager
def running(
    kinds: Mapping[str, Kind],
    layout: Layout,
    servers: Iterable[Server],
    copied: Iterable[Server],
    crls: Mapping[str, bytes],
    ports: Ports,
) -> Iterator[Stage]:
    """Start `servers`, and copies of `copied` beside them; all are stopped when the block ends, however it ends.

    `crls` are added, by server, to those of the copies.
    Raises VerifyError where an address is taken, before anything is started, and where a server does not come up.
    """
    placements = place(servers, ports)
    with ExitStack() as stack:
        # 0700 by mkdtemp(3): the copies hold private keys.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="scaffold-verify-")))
        copies = {server.name: _copy_placed(server) for server in copied}
        impostors = {
            (name, callee): stack.enter_context(Impostor(callee))
            for name, placed in copies.items()
            for callee in placed.server.calls
        }
        launches = [_launch(kinds, layout, placed, placements) for placed in placements.values()]
        for name, placed in copies.items():
            callees = {callee: impostors[name, callee].address for callee in placed.server.calls}
            copy = _copy(project_folder(layout, placed.server), folder / name, crls.get(name, b""))
            started = launch(placed, copy, _ready(kinds[placed.server.address]), callees)
            launches.append(replace(started, name=f"{name}-copy"))
        services = stack.enter_context(Services())
        services.start(launches)
        yield Stage(placements, copies, impostors, services)


def project_folder(layout: Layout, party: Party) -> Path:
    """Where the rendered project of a server or client lies."""
    return layout.path(party_paths("server" if isinstance(party, Server) else "client", party.name).folder)


def _copy_placed(server: Server) -> Placed:
    listen, health = free_addresses(2)
    return Placed(server, listen, health if server.health else None)


def _launch(kinds: Mapping[str, Kind], layout: Layout, placed: Placed, placements: Placements) -> Launch:
    ready = _ready(kinds[placed.server.address])
    callees = moved_callees(placed.server, placements)
    return launch(placed, project_folder(layout, placed.server), ready, callees)


def _copy(project: Path, to: Path, crls: bytes) -> Path:
    try:
        shutil.copytree(project, to, symlinks=True, ignore=shutil.ignore_patterns("run"))
        if crls:
            with (to / "tls" / "crl.pem").open("ab") as file:
                file.write(crls)
    except (OSError, shutil.Error) as error:
        raise VerifyError(f"{project} cannot be copied: {error}") from error
    return to


def _ready(kind: Kind) -> str:
    if kind.capabilities.ready is None:
        raise VerifyError(f'template "{kind.name}" does not say when it is ready')
    return kind.capabilities.ready
