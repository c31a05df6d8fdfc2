"""Makes the plan: what is desired, what is observed, and the difference."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from scaffold.collector import garbage_collector_off
from scaffold.errors import PlanError
from scaffold.kinds import limits
from scaffold.kinds.catalogue import Kind
from scaffold.plan.desired import desire
from scaffold.plan.diff import diff
from scaffold.plan.intents import Intent
from scaffold.plan.model import Plan
from scaffold.plan.notes import notes
from scaffold.store import existing
from scaffold.store.layout import Layout
from scaffold.store.observation import Observation
from scaffold.topology import graph
from scaffold.topology.address import Address, Part
from scaffold.topology.model import Topology


def make_plan(
    t: Topology,
    kinds: Mapping[Address, Kind],
    layout: Layout,
    now: datetime,
    intents: Sequence[Intent] = (),
    *,
    overwrite: Collection[Address] = (),
) -> Plan:
    """What apply would do, and why; nothing is written and no password is asked for.

    `kinds` is by the address of each server and client; what a kind cannot enforce is refused. `intents` are what a
    person wants beyond the topology; `overwrite` holds addresses of projects whose edited files are given up. Raises
    TopologyError, StoreError, KindError, PlanError.
    """
    _check_overwrite(t, overwrite)
    observed = Observation(layout)
    observed.check_topology(t.name)
    adopted = {ca.name: existing.load(t, ca) for ca in t.cas.values() if ca.existing is not None}
    with garbage_collector_off():
        of_kinds = limits.check(t, kinds)
        found = diff(desire(t), observed, adopted, kinds, now, overwrite=overwrite, intents=intents)
    return Plan(
        topology=t.name,
        changes=found.changes,
        notes=tuple(dict.fromkeys((*of_kinds, *notes(t), *found.notes))),
        world=world(observed),
    )


def world(observed: Observation) -> str:
    """Names the state of an output folder's records: every apply that does something changes it."""
    said = f"{observed.ledger.topology}\0{observed.ledger.length}\0{observed.records.length}"
    return hashlib.sha256(said.encode()).hexdigest()


def _check_overwrite(t: Topology, addresses: Collection[Address]) -> None:
    own = [party.address for party in graph.parties(t)]
    for address in addresses:
        if address.entity not in own or address.part not in (None, Part.PROJECT):
            known = ", ".join(map(str, own[:5]))
            raise PlanError(f'nothing to overwrite at "{address}"', hint=f"a project's address is one of {known}")
