"""A part of a plan: what an intent brings with it, or what is due, and nothing else that the topology asks for.

Who revokes a stolen key does not want to be held up by a template that has changed meanwhile, or to apply it unseen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from scaffold.kinds.catalogue import Kind
from scaffold.plan.intents import Intent
from scaffold.plan.make import make_plan
from scaffold.plan.model import Action, Change, Plan, Work
from scaffold.store.layout import Layout
from scaffold.topology.address import Address, Part, Role
from scaffold.topology.model import Topology

_KEEPS_FRESH: Final = frozenset({Work.SIGN, Work.STAPLE, Work.TRUST})
"""Signed with the keys of today, of what is in place: right whatever else is pending."""

_FOLLOWS: Final = frozenset({Work.PLACE, Work.BUNDLE})
"""What stands around a certificate once it is issued anew."""

_PROJECT: Final = frozenset({Work.RENDER, Work.WRITE, Work.OFFER, Work.REMOVE})


def plan_intents(
    t: Topology, kinds: Mapping[Address, Kind], layout: Layout, now: datetime, intents: Sequence[Intent]
) -> Plan:
    """What follows from `intents`, and CRLs, staples and trust as they must be then. Raises as `make_plan` does."""
    whole = make_plan(t, kinds, layout, now, intents)
    pending = frozenset(make_plan(t, kinds, layout, now).changes)
    return _part(whole, lambda change: change not in pending or _keeps_fresh(change))


def plan_due(t: Topology, kinds: Mapping[Address, Kind], layout: Layout, now: datetime) -> Plan:
    """What time alone asks for: certificates, CRLs and staples that are due, and what follows from them.

    A revocation that was not carried through is due as well. Raises as `make_plan` does.
    """
    return _part(
        make_plan(t, kinds, layout, now),
        lambda change: change.due or _keeps_fresh(change) or change.work in _FOLLOWS,
    )


def _keeps_fresh(change: Change) -> bool:
    return change.work in _KEEPS_FRESH and not (change.work is Work.TRUST and change.action is Action.CREATE)


def _part(whole: Plan, wanted: Callable[[Change], bool]) -> Plan:
    """The wanted changes, and those that must come first: a CA that was never made."""
    kept = [change for change in whole.changes if wanted(change) or _makes_ca(change)]
    left = frozenset(whole.changes) - frozenset(kept)
    behind = {change.address.entity for change in left if change.work in _PROJECT}
    unmade = {change.address for change in left if change.action is Action.CREATE}
    return replace(whole, changes=tuple(_fitted(kept, behind, unmade)))


def _fitted(kept: Sequence[Change], behind: set[Address], unmade: set[Address]) -> Iterator[Change]:
    for change in kept:
        if change.work in (Work.STAPLE, Work.BUNDLE) and change.address.with_part(Part.CERTIFICATE) in unmade:
            continue
        is_behind = change.work is Work.TRUST and change.address.entity in behind
        yield replace(change, work=Work.REFRESH) if is_behind else change


def _makes_ca(change: Change) -> bool:
    return change.action is Action.CREATE and change.address.role is Role.CA
