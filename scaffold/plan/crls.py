"""The part of a plan that a publisher may carry out by itself: CRLs to sign with keys that no password guards."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from scaffold.plan.desired import DesiredCa, desire
from scaffold.plan.make import Basis, Planned, plan_all
from scaffold.plan.model import Work
from scaffold.store import existing
from scaffold.store.layout import Layout
from scaffold.store.observation import Observation
from scaffold.topology.model import Topology


def plan_crls(t: Topology, layout: Layout, now: datetime) -> Planned:
    """What `plan_all` says of CRLs whose CA stays as it is and whose key is open; all else is left to `apply`.

    Raises TopologyError, StoreError.
    """
    observed = Observation(layout)
    observed.check_topology(t.name)
    adopted = {ca.name: existing.load(t, ca) for ca in t.cas.values() if ca.existing is not None}
    cas_alone = replace(desire(t), parties=())
    whole = plan_all(Basis(cas_alone, observed, adopted, {}, now))
    changes = whole.plan.changes
    unsettled = {change.address.entity for change in changes if change.work is not Work.SIGN}
    ours = {
        one.ca.address for one in cas_alone.cas if one.ca.address not in unsettled and _is_open(one, observed, adopted)
    }
    signed = (change for change in changes if change.work is Work.SIGN)
    kept = tuple(change for change in signed if change.address.entity in ours)
    return replace(whole, plan=replace(whole.plan, changes=kept, notes=()))


def _is_open(one: DesiredCa, observed: Observation, adopted: dict[str, existing.ExistingCa]) -> bool:
    if one.ca.name in adopted:
        return not adopted[one.ca.name].encrypted_key
    key = observed.key(one.paths.key)
    return key.present and not key.encrypted
