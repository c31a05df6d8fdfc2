"""What a shell offers for an ADDRESS: those of the topology at hand, and nothing where that cannot be read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from scaffold.cli.nearest_topology import DEFAULT_FILE, nearest
from scaffold.errors import ScaffoldError

if TYPE_CHECKING:
    from scaffold.topology.model import Topology

Offered = list[tuple[str, str]]
"""Each address, and what it is."""


def entities(ctx: typer.Context, incomplete: str) -> Offered:
    """CAs, servers and clients."""
    topology = _topology(ctx)
    if topology is None:
        return []
    cas = ((str(ca.address), "CA") for ca in topology.cas.values())
    return _beginning(incomplete, (*cas, *_parties(topology)))


def cas(ctx: typer.Context, incomplete: str) -> Offered:
    """CAs alone."""
    topology = _topology(ctx)
    if topology is None:
        return []
    return _beginning(incomplete, ((str(ca.address), "CA") for ca in topology.cas.values()))


def parties(ctx: typer.Context, incomplete: str) -> Offered:
    """Servers and clients."""
    topology = _topology(ctx)
    return [] if topology is None else _beginning(incomplete, _parties(topology))


def servers(ctx: typer.Context, incomplete: str) -> Offered:
    """Servers alone."""
    topology = _topology(ctx)
    if topology is None:
        return []
    return _beginning(incomplete, ((str(one.address), one.template) for one in topology.servers.values()))


def _parties(t: Topology) -> Iterator[tuple[str, str]]:
    from scaffold.topology import graph

    yield from ((str(party.address), party.template or "external") for party in graph.parties(t))


def _beginning(incomplete: str, offered: Iterable[tuple[str, str]]) -> Offered:
    return [(address, what) for address, what in offered if address.startswith(incomplete)]


def _topology(ctx: typer.Context) -> Topology | None:
    """The one that `-f` names on the command line so far, or the nearest. A shell is told no errors."""
    from scaffold.topology.load import load

    try:
        return load(nearest(ctx, Path(ctx.params.get("file") or DEFAULT_FILE)))
    except (ScaffoldError, OSError):
        return None
