"""One apply from the lock to the last deletion."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from scaffold.apply import adopted_leaves, apps, authorities, leaves, material, projects, staples
from scaffold.apply.context import ApplyContext, Progress
from scaffold.errors import Overtaken, StoreError
from scaffold.pki.crl import Reason
from scaffold.pki.issue import new_serial
from scaffold.pki.randomness import OPERATING_SYSTEM, Randomness
from scaffold.plan.apps import MadeApp
from scaffold.plan.desired import AdoptedCertificate
from scaffold.plan.make import Planned
from scaffold.plan.memo import Memo, source_of
from scaffold.plan.model import Action, Change, Plan, Work
from scaffold.plan.revocations import off_crl
from scaffold.store import examined, files, gitignore, ledger, lock
from scaffold.store.archive import archive
from scaffold.store.examined import Derivation
from scaffold.store.layout import GITATTRIBUTES, GITIGNORE
from scaffold.store.secrets import Secrets
from scaffold.store.seen import sha256_of, state_serial
from scaffold.topology.address import Address, Part, Role
from scaffold.topology.model import Fault

_ATTRIBUTES = b"""\
# What these say does not depend on the order of their lines: of two versions, git keeps the lines of both.
.scaffold/*.jsonl merge=union
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done, and what was left undone because it would have cost a person's edit."""

    done: tuple[Change, ...]
    undone: tuple[Change, ...]


def apply(
    planned: Planned,
    secrets: Secrets,
    progress: Progress = lambda change: None,
    *,
    wait: float = 0,
    waiting: Callable[[str], None] | None = None,
    randomness: Randomness = OPERATING_SYSTEM,
    saved: str | None = None,
    made_apps: Mapping[Address, MadeApp] = MappingProxyType({}),
) -> Outcome:
    """Carries out a plan on the folder that it was made for, with all that it was worked out from.

    `saved` names the saved plan that this is, for the ledger. `made_apps`, by the address of a server, are the apps
    that the plan makes or merges, as their templates make them.

    Passwords are had before anything is written, and what the plan saw is compared with what is there once nobody
    else writes. `wait`: how many seconds to wait for another apply, after telling `waiting` who that is. Raises Locked,
    Overtaken where the folder has changed since the plan was made, SecretError, PkiError, KindError, StoreError.
    """
    plan, basis = planned.plan, planned.basis
    lost = projects.with_lost_records(basis, plan)
    if not plan.changes and not lost and not randomness.repeats and not basis.revoked_elsewhere:
        return Outcome((), ())
    context = ApplyContext(basis, planned.authorities, secrets, randomness, progress)
    if not plan.changes:
        if randomness.repeats:
            context.check_seed()
        if not lost:
            if basis.revoked_elsewhere:
                with lock.hold(basis.observed.layout, basis.now, wait=wait, waiting=waiting):
                    context.record_revoked_elsewhere()
            return Outcome((), ())
    apps.check(plan.changes, made_apps)
    context.ask(plan.changes)
    _open_brought_keys(context, plan)
    material.check_owners(context, plan)
    with lock.hold(basis.observed.layout, basis.now, wait=wait, waiting=waiting):
        _check_unchanged(context, plan)
        _prepare(context)
        context.record_revoked_elsewhere()
        _carry_out(context, plan, made_apps)
        projects.record_found(context, lost, context.authorities())
        projects.collect_bases(context)
        if saved is not None:
            context.record.applied(saved)
        _remember(context, planned.memo)
    undone = tuple(change for change in plan.changes if change.action is Action.CONFLICT)
    return Outcome(tuple(change for change in plan.changes if change.action is not Action.CONFLICT), undone)


def _remember(context: ApplyContext, memo: Memo) -> None:
    """Spares the next plan work. That it cannot be written is no reason for an apply to fail."""
    if memo.remembered is None:
        return
    with contextlib.suppress(StoreError):
        known = replace(memo.remembered, entries=memo.held, derivation=_derivation(context, memo))
        examined.save(context.layout, context.writer, known, {**memo.examined, **context.examined}, context.randomness)


def _open_brought_keys(context: ApplyContext, plan: Plan) -> None:
    """Reads the keys of the certificates from elsewhere that are taken over, before anything is written."""
    taken_over = {change.address for change in plan.changes if change.work is Work.TAKE_OVER}
    for one in context.desired.parties if taken_over else ():
        if isinstance(one.own, AdoptedCertificate) and one.own.address in taken_over:
            context.brought_keys[one.own.address] = adopted_leaves.open_key(context, one, one.own)


def _derivation(context: ApplyContext, memo: Memo) -> Derivation:
    """What the projects that are as they should are rendered from, as far as that is known without deriving it."""
    source = source_of(context.topology, context.kinds, context.authorities())
    if source is None:
        return Derivation()
    inputs = dict(memo.inputs) if source == memo.source else {}
    for address, record in context.projects.latest.items():
        if address.part is None and record.inputs is not None:
            inputs[str(address)] = record.inputs
    return Derivation(source, inputs)


def _check_unchanged(context: ApplyContext, plan: Plan) -> None:
    layout = context.layout
    if plan.state_serial != state_serial(layout):
        raise Overtaken(
            f"{layout.out} has changed since the plan was made", hint="plan again; nothing was changed by this one"
        )
    context.check_seen(seen for change in plan.changes for seen in change.seen)


def _prepare(context: ApplyContext) -> None:
    for path in list(files.stale_temporaries(context.layout)):
        context.writer.remove(path)
    apps.remove_unfinished(context.layout)
    if context.observed.ledger.topology is None:
        context.record.topology(context.topology.name)
    there = sha256_of(context.layout.at(GITIGNORE))
    if there is None or gitignore.is_former(there):
        context.writer.write(GITIGNORE, gitignore.OUT)
    if not context.observed.exists(GITATTRIBUTES):
        context.writer.write(GITATTRIBUTES, _ATTRIBUTES)
    _archive(context)


def _archive(context: ApplyContext) -> None:
    """What has ended leaves the ledger, but for what the CRLs in place have to do with."""
    paths: dict[str, list[str]] = {}
    for one in context.desired.cas:
        if one.signs_crl:
            paths.setdefault(one.ca.name, []).append(one.paths.crl)
    in_place = functools.cache(lambda ca: [context.observed.crl(path).crl for path in paths.get(ca, ())])
    archive(context.layout, context.writer, context.observed.ledger, context.now, off_crl(in_place, context.now))


def _carry_out(context: ApplyContext, plan: Plan, made_apps: Mapping[Address, MadeApp]) -> None:
    _revoke(context, [change for change in plan.changes if change.work is Work.REVOKE])
    _doom(context, plan.changes)
    of_cas = [change for change in plan.changes if change.address.role is Role.CA]
    of_parties = [change for change in plan.changes if change.address.role is not Role.CA]
    _make_cas(context, of_cas)
    settled = context.authorities()
    asked = {one.address: one for one in context.desired.of_parties()}
    certificates = {Work.NEW_KEY, Work.ISSUE, Work.PLACE}
    leaves.make(context, [change for change in of_parties if change.work in certificates], asked, settled)
    parties = {one.party.address: one for one in context.desired.parties}
    for change in of_parties:
        if change.work is Work.TAKE_OVER:
            adopted_leaves.take_over(context, change.address, parties[change.address.entity].own.paths)
            context.progress(change)
        elif change.work is Work.BUNDLE:
            leaves.bundle(context, parties[change.address.entity])
            context.progress(change)
        elif change.work is Work.STAPLE:
            staples.make(context, parties[change.address.entity])
            context.progress(change)
    projects.make(context, of_parties, parties, settled)
    for change in of_parties:
        if change.work is Work.DERIVE:
            material.derive(context, parties[change.address.entity], change)
            context.progress(change)
    apps.make(context, of_parties, made_apps)
    _remove(context, [change for change in plan.changes if change.work is Work.REMOVE])


def _revoke(context: ApplyContext, changes: Sequence[Change]) -> None:
    """All at once, and before any CRL: from here on every plan carries it through, whatever happens."""
    entries = [
        ledger.Revoked(one.ca, one.serial, one.reason, context.now, one.replace, one.holds)
        for change in changes
        for one in change.revocations
    ]
    context.record_revoked(entries)
    for change in changes:
        context.progress(change)


def _doom(context: ApplyContext, changes: Sequence[Change]) -> None:
    """Chooses the serials of what is issued revoked, as its fault asks, so that the CRLs list them from the start."""
    asked = {one.address: one for one in context.desired.of_parties() if one.fault is Fault.REVOKED}
    issued = [change.address for change in changes if change.work in (Work.NEW_KEY, Work.ISSUE)]
    entries = []
    for address in (address for address in issued if address in asked):
        serial = new_serial(context.randomness, str(address), f"revoked at {context.now.isoformat()}")
        context.doomed[address] = serial
        entries.append(ledger.Revoked(asked[address].ca, f"{serial:x}", Reason.KEY_COMPROMISE, context.now))
    context.record_revoked(entries)


def _make_cas(context: ApplyContext, changes: Sequence[Change]) -> None:
    cas = {one.address: one for one in context.desired.cas}
    asked = {one.address: one for one in context.desired.of_cas()}
    with context.making_keys(asked[change.address] for change in changes if change.work is Work.NEW_KEY):
        for change in changes:
            if change.work in (Work.REMOVE, Work.REVOKE):
                continue
            one = cas[change.address.whole]
            if change.work is Work.SIGN:
                authorities.sign_crl(context, one)
            else:
                authorities.make(context, one, change)
            context.progress(change)


def _remove(context: ApplyContext, changes: Sequence[Change]) -> None:
    asked = {one.party.address for one in context.desired.parties}
    for change in changes:
        context.check_seen(change.seen)
        for path in change.paths:
            context.writer.remove(path)
        entity = change.address.entity
        if change.address.part is Part.PROJECT and entity not in asked:
            context.projects.gone(entity)
        elif change.address.part in (Part.BUNDLE, Part.FILES):
            context.projects.gone(change.address)
        context.progress(change)
    context.projects.flush()
