"""All allowed calls of one server or client: why each is allowed, until when, and which is refused today."""

from __future__ import annotations

from scaffold.explain.ends import End, Found, World, caller_end, lines_of, server_end
from scaffold.explain.handshake import between
from scaffold.explain.model import Edge, Overview
from scaffold.kinds.lines import Point
from scaffold.topology import graph
from scaffold.topology.model import Party, Server
from scaffold.verify.model import Probe


def overview(world: World, party: Party) -> Overview:
    """Who may call `party`, and whom it may call. Raises VerifyError, StoreError."""
    called = (world.topology.servers[name] for name in party.calls)
    callees = tuple(_edge(world, caller_end(world, party, server), server_end(world, server)) for server in called)
    if not isinstance(party, Server):
        return Overview(party.address, (), callees)
    end = server_end(world, party)
    callers = graph.callers(world.topology, party.name)
    return Overview(
        party.address,
        tuple(_edge(world, caller_end(world, caller, party), end) for caller in callers),
        callees,
        lines_of(world, end, (Point.CALLER_ALLOWED,), party, party).lines,
        world.last_run.of(party.name, (Probe.NOT_ALLOWED, Probe.NO_CERTIFICATE)),
        world.changed.get(party.address, ()),
    )


def _edge(world: World, calling: End, called: End) -> Edge:
    told = between(world, calling, called, _no_lines)
    caller, server = calling.party, called.party
    step = told.ends_at
    return Edge(
        caller.address,
        server.address,
        caller.identity,
        caller.roles.get(server.name, ()),
        world.topology.calls_place(caller, server.name),
        min((certificate.not_valid_after_utc for certificate in (*calling.chain, *called.chain)), default=None),
        step.by if step is not None else None,
        step.failed if step is not None else None,
        told.changed if told.is_open else (),
    )


def _no_lines(*_: object) -> Found:
    """A thousand calls are not read for their lines."""
    return Found()
