"""Where each server listens while a topology runs on this machine, and what its run.sh must be told of that."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from scaffold.errors import VerifyError
from scaffold.kinds.capabilities import Capabilities
from scaffold.running.ports import UNKNOWN, Holders, check_apart, check_free, free_addresses, reachable
from scaffold.running.services import Launch
from scaffold.topology.model import HostPort, Server

Ports = Literal["fixed", "auto"]
"""`fixed`: each where the topology says. `auto`: on free ports of loopback."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A server and where it listens; `address` is where callers on this machine find it."""

    server: Server
    listen: HostPort
    health: HostPort | None

    @property
    def address(self) -> HostPort:
        return reachable(self.listen)

    @property
    def elsewhere(self) -> bool:
        """Whether callers that were rendered would look for it in another place."""
        return self.address != self.server.dial


Placements = Mapping[str, Placed]
"""By the server's name."""


def place(servers: Iterable[Server], ports: Ports, holders: Holders = UNKNOWN) -> Placements:
    """Choose, and check that nobody else listens there. Raises VerifyError for an address that is taken."""
    placements = _chosen(servers, ports)
    check_free(_wanted(placements.values()), holders)
    return placements


def place_each(
    servers: Iterable[Server], ports: Ports, holders: Holders = UNKNOWN
) -> tuple[Placements, Mapping[str, VerifyError]]:
    """The same, where an address that is taken keeps none of the others: why, by the name of its server.

    Raises VerifyError for two of them that have one address.
    """
    placements = _chosen(servers, ports)
    check_apart(_wanted(placements.values()))
    taken: dict[str, VerifyError] = {}
    for name, placed in placements.items():
        try:
            check_free(_wanted([placed]), holders)
        except VerifyError as error:
            taken[name] = error
    return placements, taken


def _chosen(servers: Iterable[Server], ports: Ports) -> Placements:
    chosen = tuple(servers)
    if ports == "auto":
        free = iter(free_addresses(2 * len(chosen)))
        return {one.name: Placed(one, next(free), next(free) if one.health else None) for one in chosen}
    return {one.name: Placed(one, one.listen, one.health) for one in chosen}


def _wanted(every: Iterable[Placed]) -> dict[str, HostPort]:
    """Each address by what it is for."""
    placed = tuple(every)
    wanted = {str(one.server.address): one.listen for one in placed}
    return wanted | {health_of(one.server): one.health for one in placed if one.health}


def health_of(server: Server) -> str:
    """What its second port is for, in words."""
    return f"{server.address}'s health port"


def launch(
    placed: Placed, folder: Path, can: Capabilities, callees: Mapping[str, HostPort], app: HostPort | None = None
) -> Launch:
    """How to start a server there. `callees`, by name, are the servers that it finds elsewhere than it was rendered,
    and so is `app`, which stands in for its backend.

    `can` is what its kind declares: the line that says it is ready, and the variables that it needs.
    """
    server = placed.server
    environment = {}
    if placed.listen != server.listen:
        environment["LISTEN"] = str(placed.listen)
    if placed.health is not None and placed.health != server.health:
        environment["HEALTH"] = str(placed.health)
    for name in server.calls:
        if name in callees:
            environment[f"CALL_{name.upper().replace('-', '_')}"] = str(callees[name])
    if server.upstream is not None and server.upstream in callees:
        environment["UPSTREAM"] = str(callees[server.upstream])
    if app is not None:
        environment["BACKEND"] = str(app)
    listens = tuple(one for one in (placed.listen, placed.health) if one is not None)
    return Launch(server.name, folder, can.ready or "", environment, can.environment, listens=listens)


def moved_callees(server: Server, placements: Placements) -> dict[str, HostPort]:
    """Which of the servers that `server` calls are elsewhere than it was rendered for, and where."""
    called = (placements[name] for name in server.calls if name in placements)
    return {placed.server.name: placed.address for placed in called if placed.elsewhere}
