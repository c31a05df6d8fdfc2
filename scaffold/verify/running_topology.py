"""The topology running on this machine for the time of a verification: its servers, and the places of false ones."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

from scaffold.errors import NotStarted, VerifyError
from scaffold.kinds.catalogue import Kind
from scaffold.running.placement import Placed, Placements, Ports, launch, moved_callees, place_each
from scaffold.running.ports import free_addresses
from scaffold.running.services import READY_WITHIN, Launch, Service, Services
from scaffold.running.whereabouts import holders
from scaffold.settings.peers import server_name
from scaffold.store.layout import Layout, party_paths
from scaffold.topology.address import Address
from scaffold.topology.model import HostPort, Party, Server
from scaffold.verify.impostor import Impostor
from scaffold.verify.listener import NOBODY, Listener
from scaffold.verify.model import Unstarted
from scaffold.verify.protocol import Target
from scaffold.verify.revocation_scenarios import RevocationScenario
from scaffold.verify.stand_in import StandIn

_OUTPUT: Final = "see its own output; `scaffold up --only {}` shows all of it"

_BESIDE_UP: Final = (
    "try what runs: `scaffold verify --running`; or let `--ports auto` choose free ports, or stop that `up` first"
)

_ALL_STARTED: Final[Mapping[str, Unstarted]] = MappingProxyType({})


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
        unstarted: Mapping[str, Unstarted] = _ALL_STARTED,
    ) -> None:
        self._placements = placements
        self._copies = copies
        self._impostors = impostors
        self._services = services
        self._folders = folders
        self._apps = apps
        self._unstarted = unstarted

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
        """Who takes the place of `callee` for the copy of `caller`."""
        return self._impostors[caller.name, callee.name]

    def unstarted(self, server: Server) -> Unstarted | None:
        """Why the server itself does not run; None where it does."""
        return self._unstarted.get(server.name)

    def unstarted_copy(self, server: Server, scenario: RevocationScenario) -> Unstarted | None:
        """Why its copy for a scenario does not run. What keeps the server itself from it as well is told of that."""
        copy = self._unstarted.get(_copy_name(server, scenario))
        return copy and (self.unstarted(server) or copy)

    def check_alive(self) -> None:
        """Raise NotStarted, with its last lines, for a server that ended while it was probed."""
        for service in self._services:
            if not service.running and service.name not in self._unstarted:
                raise NotStarted(service.epitaph())


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

    `listener` is told how many are started, and of each that is ready. One whose key is missing, whose address is
    taken, or that is not ready `within` so many seconds keeps the others from nothing; where that is so of every one,
    VerifyError is raised for the first.
    """
    chosen = tuple(servers)
    placements, taken = place_each(chosen, ports, holders(layout, chosen, _BESIDE_UP))
    failed = {**taken, **_keyless(layout, chosen)}
    _check_any_left(placements, failed)
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
        to_start = [placed for name, placed in placements.items() if name not in failed]
        copies_of = {_copy_name(one.server, scenario): one.server for (_, scenario), one in placed_copies.items()}
        launches = [
            *_launches(kinds, layout, to_start, placements, apps),
            *_launches_of_copies(kinds, placed_copies, folders, impostors, apps),
        ]
        services = stack.enter_context(Services())
        listener.starting(len(launches))
        failed |= services.start_each(launches, within, on_ready=listener.ready)
        _check_any_left(placements or copies_of, failed)
        unstarted = {name: _unstarted(name, error, copies_of.get(name)) for name, error in failed.items()}
        yield RunningTopology(placements, placed_copies, impostors, services, folders, apps, unstarted)


def _check_any_left(wanted: Iterable[str], failed: Mapping[str, VerifyError]) -> None:
    """Raise why the first does not start, where none of those that are wanted does."""
    names = tuple(wanted)
    if names and all(name in failed for name in names):
        raise failed[names[0]]


def _keyless(layout: Layout, servers: Iterable[Server]) -> Mapping[str, VerifyError]:
    """Why not, for each whose private key is not here, as in a clone: its own program would say it in its own words."""
    missing = {server.name: _missing_keys(layout, server) for server in servers}
    hint = "a git clone has no keys: `scaffold plan` shows what is missing, `scaffold apply` makes it"
    return {
        name: VerifyError(f"{Address.server(name)} has no private key here: {', '.join(paths)} is missing", hint=hint)
        for name, paths in missing.items()
        if paths
    }


def _missing_keys(layout: Layout, server: Server) -> Sequence[str]:
    paths = party_paths(server.address.role, server.name)
    keys = (paths.own.key, *((paths.client_side.key,) if server.has_second else ()))
    return [key for key in keys if not layout.path(key).exists()]


def _unstarted(name: str, error: VerifyError, copied: Server | None) -> Unstarted:
    """`copied` is the server of which it is a copy, where it is one."""
    if copied is None:
        return Unstarted(str(Address.server(name)), error.message, error.hint or _OUTPUT.format(Address.server(name)))
    return Unstarted(f"a copy of {copied.address}", error.message, _OUTPUT.format(copied.address))


def project_folder(layout: Layout, party: Party) -> Path:
    """Where the rendered project of a server or client lies."""
    return layout.path(party_paths(party.address.role, party.name).folder)


def _launches(
    kinds: Mapping[Address, Kind],
    layout: Layout,
    to_start: Iterable[Placed],
    placements: Placements,
    apps: Mapping[str, StandIn],
) -> Iterator[Launch]:
    for placed in to_start:
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


def _copy_name(party: Party, scenario: RevocationScenario) -> str:
    return f"{party.name}-copy-{scenario.name.lower().replace('_', '-')}"


def _copy(layout: Layout, copy: Copy, root: Path) -> Path:
    """The copied folder. Its name says what it is, and is in errors as the server's."""
    project = project_folder(layout, copy.party)
    to = root / copy.party.address.role / _copy_name(copy.party, copy.scenario)
    try:
        shutil.copytree(project, to, symlinks=True, ignore=shutil.ignore_patterns("run"))
        for name, content in copy.changed(to / "tls").items():
            (to / "tls" / name).write_bytes(content)
    except (OSError, shutil.Error) as error:
        raise VerifyError(f"{project} cannot be copied: {error}") from error
    return to
