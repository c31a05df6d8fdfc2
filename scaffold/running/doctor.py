"""What the templates of a topology need and what this machine has of it: each is tried, and nothing is assumed."""

from __future__ import annotations

import enum
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from scaffold.kinds.catalogue import Kind
from scaffold.running.availability import Availability, ends_well, lacking, version_said_by, why_it_cannot_run
from scaffold.running.placement import health_of
from scaffold.running.ports import LOOPBACK, Holder, obstacle
from scaffold.running.services import installed, where
from scaffold.running.whereabouts import holders, publishes
from scaffold.store.layout import Layout
from scaffold.topology import graph
from scaffold.topology.address import Address
from scaffold.topology.model import HostPort, Topology


class State(enum.StrEnum):
    """How a need is met."""

    PRESENT = "present"
    MISSING = "missing"
    NOTE = "note"
    """It keeps nothing from being made, and something from being run right now."""


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that is needed: `what`, of whom (`template`, or nothing), what was `found`, and what helps."""

    what: str
    state: State
    found: str
    template: str = ""
    of: tuple[Address, ...] = ()
    install: str | None = None


def examine(t: Topology, kinds: Mapping[Address, Kind], layout: Layout) -> tuple[Need, ...]:
    """Every need of the topology, with what was found when it was tried. Nothing is left behind."""
    return (*_of_kinds(t, kinds), *_of_ports(t, layout), _of_folder(layout))


def _of_kinds(t: Topology, kinds: Mapping[Address, Kind]) -> Iterator[Need]:
    available = Availability(t, kinds)
    by_folder: dict[Path, list[Address]] = {}
    for party in graph.parties(t):
        if party.address in kinds:
            by_folder.setdefault(kinds[party.address].folder, []).append(party.address)
    for addresses in by_folder.values():
        kind = kinds[addresses[0]]
        of = tuple(addresses)
        yield from _commands(kind, of)
        if lacking(kind) is None:
            if kind.capabilities.tls_version:
                yield _library(kind, of)
            if available.untried(kind) is None:
                yield from _too_old(available, kind, of)


def _commands(kind: Kind, of: tuple[Address, ...]) -> Iterator[Need]:
    for group in kind.capabilities.requires:
        named = " or ".join(dict.fromkeys(command.rpartition("/")[2] for command in group))
        found = next(filter(None, map(where, group)), None)
        if found is None:
            yield Need(named, State.MISSING, "not installed", kind.name, of, how_to_install(kind))
        elif (why := why_it_cannot_run(found, kind.capabilities.environment)) is not None:
            yield Need(named, State.MISSING, f"{found} does not run: {why}", kind.name, of, how_to_install(kind))
        else:
            yield Need(named, State.PRESENT, found, kind.name, of)
    for what, command in kind.capabilities.tries.items() if lacking(kind) is None else ():
        if ends_well(command, kind.capabilities.environment):
            yield Need(what, State.PRESENT, "there", kind.name, of)
        else:
            yield Need(what, State.MISSING, "not there", kind.name, of, how_to_install(kind))


def how_to_install(kind: Kind) -> str | None:
    """The command that the template declares for a package manager of this machine; else what it declares otherwise."""
    declared = kind.capabilities.install
    here = (command for manager, command in declared.items() if installed(manager))
    return next(here, declared.get(OTHERWISE))


OTHERWISE = "otherwise"
"""Stands in `install` for what to do without any of its package managers."""


def _library(kind: Kind, of: tuple[Address, ...]) -> Need:
    """What the template's own command says of its TLS library."""
    can = kind.capabilities
    version = version_said_by(can.tls_version, can.environment)
    if version is None:
        found = f"`{' '.join(can.tls_version[:2])} …` says no version"
        return Need(can.tls_library, State.NOTE, found, kind.name, of)
    return Need(can.tls_library, State.PRESENT, ".".join(map(str, version)), kind.name, of)


def _too_old(available: Availability, kind: Kind, of: Iterable[Address]) -> Iterator[Need]:
    for address in of:
        if (reason := available.missing.get(address)) is not None:
            yield Need(kind.capabilities.tls_library, State.MISSING, reason, kind.name, (address,))


def _of_ports(t: Topology, layout: Layout) -> Iterator[Need]:
    """Whether each port is free now, by listening there for a moment."""
    known = holders(layout, t.servers.values(), _BESIDE_UP)
    for server in t.servers.values():
        if server.csr is None:
            yield _port(str(server.address), server.listen, server.address, known=known.get(str(server.address)))
            if server.health is not None:
                health = health_of(server)
                yield _port(health, server.health, server.address, known=known.get(health))
    for client in t.clients.values():
        for name, door in client.doors.items():
            if isinstance(door, HostPort):
                yield _port(f"the door of {client.address} to {name}", door, client.address)
    if t.publish is not None and (parts := urlsplit(t.publish)).hostname is not None:
        publisher = HostPort(parts.hostname if parts.hostname == "::1" else LOOPBACK, parts.port or 80)
        yield _port("publish", publisher, known=publishes(layout, publisher, _BESIDE_UP))


_BESIDE_UP = "leave it running; `scaffold up --ports auto` runs a second one beside it, on free ports"


def _port(use: str, listen: HostPort, *of: Address, known: Holder | None = None) -> Need:
    found = obstacle(listen, known)
    if found is None:
        return Need(f"{listen} for {use}", State.PRESENT, "free", of=of)
    return Need(f"{listen} for {use}", State.NOTE, found.why, of=of, install=found.hint)


def _of_folder(layout: Layout) -> Need:
    """Whether the output folder, or the folder in which it is made, takes a file."""
    folder = next(one for one in (layout.path(""), *layout.path("").parents) if one.is_dir())
    what = f"to write in {folder}"
    try:
        with tempfile.TemporaryFile(dir=folder):
            return Need(what, State.PRESENT, "allowed")
    except OSError as error:
        return Need(what, State.MISSING, error.strerror or str(error), install="run scaffold as the user who owns it")
