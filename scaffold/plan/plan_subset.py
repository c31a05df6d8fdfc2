"""A part of a plan: what an intent brings with it, or what is due, and nothing else that the topology asks for.

Who revokes a stolen key does not want to be held up by a template that has changed meanwhile, or to apply it unseen.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final

from scaffold.errors import PlanError
from scaffold.pki import keys
from scaffold.plan.apps import address_of
from scaffold.plan.basis import Asked, Basis
from scaffold.plan.intents import Intent, Renew
from scaffold.plan.make import Planned, plan_all, with_folder
from scaffold.plan.model import Action, Change, Work
from scaffold.plan.projects import Resolution
from scaffold.plan.signers import needed
from scaffold.store.layout import ca_paths
from scaffold.store.observation import Observation
from scaffold.topology import graph
from scaffold.topology.address import Address, Part, Role
from scaffold.topology.messages import nearest
from scaffold.topology.notes import Note

_KEEPS_FRESH: Final = frozenset({Work.SIGN, Work.STAPLE, Work.TRUST, Work.REFRESH})
"""Signed with the keys of today, of what is in place: right whatever else is pending."""

_FOLLOWS: Final = frozenset({Work.PLACE, Work.BUNDLE, Work.DERIVE})
"""What is around a certificate once it is issued again."""


@dataclass(frozen=True, slots=True)
class Due:
    """What time asks for, and the names of the CAs that need another key, for which the rest must wait."""

    planned: Planned
    waits_for: frozenset[str]


def plan_intents(basis: Basis, intents: Sequence[Intent]) -> Planned:
    """What follows from `intents`, and CRLs, staples and trust as they must be then.

    What a CA that needs another key would have to sign is left out, with a note. Raises PlanError where its
    renewal is what is asked for, and otherwise as `plan_all` does.
    """
    basis = with_folder(basis)
    pending = frozenset(plan_all(basis, Asked(hold_pending=True)).plan.changes)
    whole = plan_all(basis, Asked(intents, hold_pending=True))
    asked = {intent.address for intent in intents if isinstance(intent, Renew)}
    # What is asked for may be due as well, and so be pending before anybody asks.
    part = _part(whole, lambda change: change not in pending or _keeps_fresh(change) or _is_renewal_of(change, asked))
    waits_for = _without_keys(whole, part)
    wanted = [change for change in whole.plan.changes if not asked.isdisjoint((change.address, change.address.entity))]
    if any(not _is_free(basis, change, waits_for) for change in wanted):
        raise refusal(waits_for)
    left = [change for change in part.plan.changes if not _is_free(basis, change, waits_for)]
    kept = _without(part, waits_for)
    if not left:
        return kept
    return replace(kept, plan=replace(kept.plan, notes=(*kept.plan.notes, _waiting(left, waits_for))))


def _is_renewal_of(change: Change, asked: Collection[Address]) -> bool:
    """Whether a change renews what is asked for, or is to what is around it."""
    if not (change.due or change.work in _FOLLOWS):
        return False
    addresses = (change.address, change.address.with_part(Part.CERTIFICATE), change.address.entity)
    return any(address in asked for address in addresses)


def plan_due(basis: Basis) -> Due:
    """What time alone asks for: certificates, CRLs and staples that are due, and what follows from them.

    A revocation that was not carried through is due as well. No CA's key is replaced: what would need that is left
    out. Raises as `plan_all` does.
    """
    whole = plan_all(basis, Asked(hold_pending=True))
    part = _part(whole, lambda change: change.due or _keeps_fresh(change) or change.work in _FOLLOWS)
    waits_for = _without_keys(whole, part)
    return Due(_without(part, waits_for), waits_for)


def plan_resolution(basis: Basis, address: Address, resolution: Resolution) -> Planned:
    """Ends the conflicts of one project, and brings all of that project along, since it is updated whole.

    Certificates and other projects are left to apply. Raises PlanError where there is no such project, no conflict, or
    none that can be resolved like that, and otherwise as `plan_all` does.
    """
    own = [party.address for party in graph.parties(basis.topology)]
    if (app := _app_meant(basis, address)) is not None:
        return _resolution_of_app(basis, app, resolution)
    if address.entity not in own or address.part not in (None, Part.PROJECT):
        raise PlanError(f'nothing to resolve at "{address}"', hint=nearest(str(address), map(str, own)))
    whole = plan_all(basis, Asked(resolutions={address.entity: resolution}))
    parts = (address.entity.with_part(Part.PROJECT), address.entity.with_part(Part.TRUST))
    changes = tuple(change for change in whole.plan.changes if change.address in parts)
    return replace(whole, plan=replace(whole.plan, changes=changes))


def _app_meant(basis: Basis, address: Address) -> Address | None:
    """The app that a person means: by its own address, or by its server's where nothing else of that is in conflict."""
    records = basis.observed.records
    for app in (address_of(server) for server in basis.topology.servers.values() if server.app is not None):
        alone = bool(records.of(app).merging) and not records.of(app.entity).merging
        if address == app or (address == app.entity and alone):
            return app
    return None


def _resolution_of_app(basis: Basis, address: Address, resolution: Resolution) -> Planned:
    whole = plan_all(basis, Asked(resolutions={address: resolution}))
    changes = tuple(change for change in whole.plan.changes if change.address == address)
    return replace(whole, plan=replace(whole.plan, changes=changes))


def refusal(waits_for: Collection[str]) -> PlanError:
    """Why nothing is renewed by CAs that need another key."""
    return PlanError(
        "; ".join(f"{Address.ca(name)} needs another key" for name in sorted(waits_for)),
        hint="see `scaffold plan`; restore the missing key, or let `scaffold apply` replace it, which asks",
    )


def _is_free(basis: Basis, change: Change, cas: Collection[str]) -> bool:
    """Whether a change needs none of `cas`."""
    return needed(basis.topology, change).isdisjoint(cas)


def _without(part: Planned, cas: Collection[str]) -> Planned:
    changes = tuple(change for change in part.plan.changes if _is_free(part.basis, change, cas))
    return replace(part, plan=replace(part.plan, changes=changes))


def _without_keys(whole: Planned, part: Planned) -> frozenset[str]:
    """The CAs that would get another key, which is not done here, and cannot sign with the one that is there."""
    kept = frozenset(part.plan.changes)
    return frozenset(
        change.address.name
        for change in whole.plan.changes
        if change.action is Action.REPLACE
        and change.address.role is Role.CA
        and change not in kept
        and not _can_sign(whole.basis.observed, change.address)
    )


def _can_sign(observed: Observation, ca: Address) -> bool:
    """Whether key and certificate of a CA are there and belong together, as far as that is seen without a password."""
    paths = ca_paths(ca.name, ca.generation)
    key, certificate = observed.key(paths.key), observed.certificate(paths.certificate).certificate
    if not key.present or key.problem is not None or certificate is None:
        return False
    return key.spki is None or key.spki == keys.spki(certificate)


def _waiting(left: Sequence[Change], waits_for: Collection[str]) -> Note:
    what = ", ".join(str(change.address) for change in left)
    which = ", ".join(str(Address.ca(name)) for name in sorted(waits_for))
    return Note(None, f"{what} must wait: {which} needs another key, see `scaffold plan`")


def _keeps_fresh(change: Change) -> bool:
    return change.work in _KEEPS_FRESH and not (change.work is Work.TRUST and change.action is Action.CREATE)


def _part(whole: Planned, wanted: Callable[[Change], bool]) -> Planned:
    """The wanted changes, and those that must come first: a CA that was never made."""
    changes = whole.plan.changes
    kept = [change for change in changes if wanted(change) or _makes_ca(change)]
    left = frozenset(changes) - frozenset(kept)
    unmade = {change.address for change in left if change.action is Action.CREATE}
    unissued = {change.address for change in left if change.work in (Work.NEW_KEY, Work.ISSUE)}
    fitting = tuple(
        change for change in kept if not (_is_of(change, Work.STAPLE, unmade) or _is_of(change, Work.BUNDLE, unissued))
    )
    return replace(whole, plan=replace(whole.plan, changes=fitting))


def _is_of(change: Change, work: Work, certificates: Collection[Address]) -> bool:
    """Whether it does `work` with one of `certificates`."""
    return change.work is work and change.address.with_part(Part.CERTIFICATE) in certificates


def _makes_ca(change: Change) -> bool:
    return change.action is Action.CREATE and change.address.role is Role.CA
