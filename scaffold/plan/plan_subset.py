"""A part of a plan: what an intent brings with it, or what is due, and nothing else that the topology asks for.

Who revokes a stolen key does not want to be held up by a template that has changed meanwhile, or to apply it unseen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from scaffold.plan.intents import Intent
from scaffold.plan.make import Basis, Planned, plan_all
from scaffold.plan.model import Action, Change, Work
from scaffold.topology.address import Address, Part, Role

_KEEPS_FRESH: Final = frozenset({Work.SIGN, Work.STAPLE, Work.TRUST})
"""Signed with the keys of today, of what is in place: right whatever else is pending."""

_FOLLOWS: Final = frozenset({Work.PLACE, Work.BUNDLE})
"""What stands around a certificate once it is issued anew."""

_PROJECT: Final = frozenset({Work.RENDER, Work.WRITE, Work.OFFER, Work.REMOVE})


def plan_intents(basis: Basis, intents: Sequence[Intent]) -> Planned:
    """What follows from `intents`, and CRLs, staples and trust as they must be then. Raises as `plan_all` does."""
    pending = frozenset(plan_all(basis).plan.changes)
    return _part(plan_all(basis, intents), lambda change: change not in pending or _keeps_fresh(change))


def plan_due(basis: Basis) -> Planned:
    """What time alone asks for: certificates, CRLs and staples that are due, and what follows from them.

    A revocation that was not carried through is due as well. Raises as `plan_all` does.
    """
    return _part(plan_all(basis), lambda change: change.due or _keeps_fresh(change) or change.work in _FOLLOWS)


def _keeps_fresh(change: Change) -> bool:
    return change.work in _KEEPS_FRESH and not (change.work is Work.TRUST and change.action is Action.CREATE)


def _part(whole: Planned, wanted: Callable[[Change], bool]) -> Planned:
    """The wanted changes, and those that must come first: a CA that was never made."""
    changes = whole.plan.changes
    kept = [change for change in changes if wanted(change) or _makes_ca(change)]
    left = frozenset(changes) - frozenset(kept)
    behind = {change.address.entity for change in left if change.work in _PROJECT}
    unmade = {change.address for change in left if change.action is Action.CREATE}
    return replace(whole, plan=replace(whole.plan, changes=tuple(_fitted(kept, behind, unmade))))


def _fitted(kept: Sequence[Change], behind: set[Address], unmade: set[Address]) -> Iterator[Change]:
    for change in kept:
        if change.work in (Work.STAPLE, Work.BUNDLE) and change.address.with_part(Part.CERTIFICATE) in unmade:
            continue
        is_behind = change.work is Work.TRUST and change.address.entity in behind
        yield replace(change, work=Work.REFRESH) if is_behind else change


def _makes_ca(change: Change) -> bool:
    return change.action is Action.CREATE and change.address.role is Role.CA
