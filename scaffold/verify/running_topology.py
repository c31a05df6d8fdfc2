"""The topology running on this machine for the time of a verification: its servers, and the places of false ones."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from scaffold.errors import VerifyError
from scaffold.kinds.catalogue import Kind
from scaffold.running.placement import Placed, Placements, Ports, launch, moved_callees, place
from scaffold.running.ports import free_addresses
from scaffold.running.services import READY_WITHIN, Launch, Service, Services
from scaffold.settings.peers import server_name
from scaffold.store.layout import Layout, party_paths
from scaffold.topology.address import Address
from scaffold.topology.model import HostPort, Party, Server
from scaffold.verify.impostor import Impostor
from scaffold.verify.listener import NOBODY, Listener
from scaffold.verify.protocol import Target
from scaffold.verify.revocation_scenarios import RevocationScenario
from scaffold.verify.stand_in import StandIn


@dataclass(frozen=True, slots=True)
class Copy:
    """A project that is copied for a scenario, and with what in `tls/`: contents by file name, out of what is there."""

    party: Party
    scenario: RevocationScenario
    changed: Callable[[Path], Mapping[str, bytes]]


class RunningTopology:
    """Where everything is while the probes run.

    Some servers run more than once: as they are, and as copies. The callees of a copy are impostors, so that what it
    makes of a false callee can be seen, and its CRLs are those of a scenario. That a folder runs elsewhere is proved by
    it. Clients are copied for the sake of their CRLs alone.
    """

    def __init__(
        self,
        placements: Placements,
        copies: Mapping[tuple[str, RevocationScenario], Placed],
        impostors: Mapping[tuple[str, str], Impostor],
        services: Iterable[Service],
        folders: Mapping[tuple[Address, RevocationScenario], Path],
        apps: Mapping[str, StandIn],
    ) -> None:
        self._placements = placements
        self._copies = copies
        self._impostors = impostors
        self._services = services
        self._folders = folders
        self._apps = apps

    def target(self, server: Server) -> Target:
        """Where the server itself is, and what it is called."""
        return Target(self._placements[server.name].address, server_name(server))

    def health(self, server: Server) -> HostPort | None:
        return self._placements[server.name].health

    def app_behind(self, server: Server) -> StandIn | None:
        """Who stands in for its backend; None where it has none, or does not run."""
        return self._apps.get(server.name)

    def copy_of(self, server: Server, scenario: RevocationScenario = RevocationScenario.SOUND) -> Target:
        """Where the server's copy for a scenario is; its callees are impostors."""
        return Target(self._copies[server.name, scenario].address, server_name(server))

    def folder_of_copy(self, party: Party, scenario: RevocationScenario) -> Path:
        """Where the copied project lies."""
        return self._folders[party.address, scenario]

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
    kinds: Mapping[Address, Kind],
    layout: Layout,
    servers: Iterable[Server],
    copies: Iterable[Copy],
    ports: Ports,
    within: float = READY_WITHIN,
    listener: Listener = NOBODY,
) -> Iterator[RunningTopology]:
    """Start `servers`, and copies beside them; all are stopped when the block ends, however it ends.

    `listener` is told how many are started, and of each that is ready. Raises VerifyError where an address is taken,
    before anything is started, and where a server is not ready `within` so many seconds.
    """
    placements = place(servers, ports)
    with ExitStack() as stack:
        # 0700 by mkdtemp(3): the copies hold private keys.
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="scaffold-verify-")))
        folders = {(copy.party.address, copy.scenario): _copy(layout, copy, root) for copy in copies}
        placed_copies = {
            (copy.party.name, copy.scenario): _copy_placed(copy.party)
            for copy in copies
            if isinstance(copy.party, Server)
        }
        impostors = {
            (caller, callee): stack.enter_context(Impostor(callee))
            for caller, callees in {one.server.name: one.server.calls for one in placed_copies.values()}.items()
            for callee in callees
        }
        every = (*placements.values(), *placed_copies.values())
        fronts = dict.fromkeys(placed.server.name for placed in every if placed.server.backend is not None)
        apps = {name: stack.enter_context(StandIn(name)) for name in fronts}
        launches = [
            *_launches(kinds, layout, placements, apps),
            *_launches_of_copies(kinds, placed_copies, folders, impostors, apps),
        ]
        services = stack.enter_context(Services())
        listener.starting(len(launches))
        services.start(launches, within, on_ready=listener.ready)
        yield RunningTopology(placements, placed_copies, impostors, services, folders, apps)


def project_folder(layout: Layout, party: Party) -> Path:
    """Where the rendered project of a server or client lies."""
    return layout.path(party_paths(party.address.role, party.name).folder)


def _launches(
    kinds: Mapping[Address, Kind], layout: Layout, placements: Placements, apps: Mapping[str, StandIn]
) -> Iterator[Launch]:
    for placed in placements.values():
        folder, callees = project_folder(layout, placed.server), moved_callees(placed.server, placements)
        yield _launch(kinds[placed.server.address], placed, folder, callees, apps)


def _launches_of_copies(
    kinds: Mapping[Address, Kind],
    copies: Mapping[tuple[str, RevocationScenario], Placed],
    folders: Mapping[tuple[Address, RevocationScenario], Path],
    impostors: Mapping[tuple[str, str], Impostor],
    apps: Mapping[str, StandIn],
) -> Iterator[Launch]:
    """Each under the name of its folder, and with an impostor for each of its callees."""
    for (name, scenario), placed in copies.items():
        callees = {callee: impostors[name, callee].address for callee in placed.server.calls}
        folder = folders[placed.server.address, scenario]
        yield replace(_launch(kinds[placed.server.address], placed, folder, callees, apps), name=folder.name)


def _copy_placed(server: Server) -> Placed:
    listen, health = free_addresses(2)
    return Placed(server, listen, health if server.health else None)


def _launch(
    kind: Kind, placed: Placed, folder: Path, callees: Mapping[str, HostPort], apps: Mapping[str, StandIn]
) -> Launch:
    if kind.capabilities.ready is None:
        raise VerifyError(f'template "{kind.name}" does not say when it is ready')
    app = apps.get(placed.server.name)
    return launch(placed, folder, kind.capabilities, callees, app.address if app is not None else None)


def _copy(layout: Layout, copy: Copy, root: Path) -> Path:
    """The copied folder. Its name says what it is, and stands in errors as the server's."""
    project = project_folder(layout, copy.party)
    to = root / copy.party.address.role / f"{copy.party.name}-copy-{copy.scenario.name.lower().replace('_', '-')}"
    try:
        shutil.copytree(project, to, symlinks=True, ignore=shutil.ignore_patterns("run"))
        for name, content in copy.changed(to / "tls").items():
            (to / "tls" / name).write_bytes(content)
    except (OSError, shutil.Error) as error:
        raise VerifyError(f"{project} cannot be copied: {error}") from error
    return to
