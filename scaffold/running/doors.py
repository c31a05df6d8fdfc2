"""The doors of clients, for programs that speak no TLS: where each is while a topology runs here, and what opens it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from scaffold.kinds.catalogue import Kind
from scaffold.running.placement import Placements, Ports
from scaffold.running.ports import check_free, free_addresses
from scaffold.running.services import Launch
from scaffold.topology.model import Client, Door, Doors, HostPort


@dataclass(frozen=True, slots=True)
class Opened:
    """A client and where its doors are: elsewhere than the topology says where ports are moved."""

    client: Client
    doors: Doors

    @property
    def name(self) -> str:
        """What its lines begin with: a server may have the client's own name."""
        return str(self.client.address)


def has_doors(client: Client, kind: Kind | None) -> bool:
    """Whether there is something to keep open."""
    return kind is not None and kind.capabilities.has_doors and bool(client.calls)


def open_at(clients: Iterable[Client], ports: Ports) -> tuple[Opened, ...]:
    """Where their doors will be. Raises VerifyError for one that is taken."""
    found = tuple(Opened(client, _moved(client.doors) if ports == "auto" else client.doors) for client in clients)
    check_free(
        {
            f"the door of {one.client.address} to {name}": door
            for one in found
            for name, door in one.doors.items()
            if isinstance(door, HostPort)
        }
    )
    return found


def _moved(doors: Doors) -> Mapping[str, Door]:
    free = iter(free_addresses(len(doors)))
    return {name: next(free) if isinstance(door, HostPort) else door for name, door in doors.items()}


def launch(opened: Opened, folder: Path, kind: Kind, placements: Placements) -> Launch:
    """How to open them; `placements` say which servers are elsewhere than the client was rendered for."""
    client, environment = opened.client, {}
    for name in client.calls:
        variable = name.upper().replace("-", "_")
        if name in placements and placements[name].elsewhere:
            environment[f"CALL_{variable}"] = str(placements[name].address)
        if opened.doors[name] != client.doors[name]:
            environment[f"DOOR_{variable}"] = str(opened.doors[name])
    listens = tuple(door for door in opened.doors.values() if isinstance(door, HostPort))
    can = kind.capabilities
    return Launch(
        opened.name, folder, can.ready or "", environment, can.environment, listens=listens, who=str(client.address)
    )
