"""All allowed calls of one server or client: why each is allowed, until when, and which is refused today."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from scaffold.explain.ends import Found, World, caller_end, lines_of, server_end, shown
from scaffold.explain.handshake import handshake
from scaffold.explain.model import Edge, Overview
from scaffold.kinds.lines import Point
from scaffold.topology import graph
from scaffold.topology.model import Party, Server
from scaffold.verify.model import Probe


def overview(world: World, party: Party) -> Overview:
    """Who may call `party`, and whom it may call. Raises VerifyError, StoreError."""
    callees = tuple(_edge(world, party, world.topology.servers[name]) for name in party.calls)
    if not isinstance(party, Server):
        end = caller_end(world, party, world.topology.servers[party.calls[0]]) if party.calls else None
        return Overview(party.address, tuple(map(shown, end.chain)) if end else (), (), callees)
    end = server_end(world, party)
    return Overview(
        party.address,
        tuple(map(shown, end.chain)),
        tuple(_edge(world, caller, party) for caller in graph.callers(world.topology, party.name)),
        callees,
        lines_of(world, end, (Point.CALLER_ALLOWED,), party, party).lines,
        world.last_run.of(party.name, (Probe.NOT_ALLOWED, Probe.NO_CERTIFICATE)),
    )


def _edge(world: World, caller: Party, server: Server) -> Edge:
    told = handshake(world, caller, server, _no_lines)
    step = told.ends_at
    return Edge(
        caller.address,
        server.address,
        caller.identity,
        caller.roles.get(server.name, ()),
        world.topology.calls_place(caller, server.name),
        min(_ends(world, caller, server), default=None),
        step.by if step is not None else None,
        step.failed if step is not None else None,
    )


def _no_lines(*_: object) -> Found:
    """A thousand calls are not read for their lines."""
    return Found()


def _ends(world: World, caller: Party, server: Server) -> Iterator[datetime]:
    for end in (caller_end(world, caller, server), server_end(world, server)):
        yield from (certificate.not_valid_after_utc for certificate in end.chain)
