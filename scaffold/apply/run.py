"""One apply from the lock to the last deletion."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from scaffold.apply import authorities, leaves, projects, staples
from scaffold.apply.context import ApplyContext, Progress
from scaffold.collector import garbage_collector_off
from scaffold.errors import Overtaken, PlanError
from scaffold.kinds.catalogue import Kind
from scaffold.plan.desired import desire
from scaffold.plan.make import world
from scaffold.plan.model import Action, Change, Plan, Work
from scaffold.store import existing, files, gitignore, ledger, lock
from scaffold.store import projects as records
from scaffold.store.files import Writer
from scaffold.store.layout import GITIGNORE, Layout
from scaffold.store.observation import Observation
from scaffold.store.secrets import Secrets
from scaffold.topology.address import Address, Part, Role
from scaffold.topology.model import Topology


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done, and what was left undone because it would have cost a person's edit."""

    done: tuple[Change, ...]
    undone: tuple[Change, ...]


def apply(
    plan: Plan,
    t: Topology,
    kinds: Mapping[Address, Kind],
    layout: Layout,
    now: datetime,
    secrets: Secrets,
    progress: Progress = lambda change: None,
    *,
    wait: float = 0,
    waiting: Callable[[str], None] | None = None,
) -> Outcome:
    """Carries out `plan`, which was made for `t` and for the folder as it is now.

    Passwords are had before anything is written. `wait`: how many seconds to wait for another apply, after telling
    `waiting` who that is. Raises Locked, Overtaken where the folder has changed since the plan was made, SecretError,
    PkiError, KindError, StoreError.
    """
    if not plan.changes:
        return Outcome((), ())
    if any(ca.key_password is not None for ca in t.cas.values()):
        # Asked before the lock as well: where a password is missing, not even the folder of the lock is made.
        _open(plan, t, kinds, layout, now, secrets, progress).ask(plan.changes)
    context = _open(plan, t, kinds, layout, now, secrets, progress)
    _check_world(plan, context.observed)
    context.ask(plan.changes)
    with lock.hold(layout, now, wait=wait, waiting=waiting):
        _check_world(plan, Observation(layout))
        _prepare(context)
        with garbage_collector_off():
            _carry_out(context, plan)
    undone = tuple(change for change in plan.changes if change.action is Action.CONFLICT)
    return Outcome(tuple(change for change in plan.changes if change.action is not Action.CONFLICT), undone)


def _open(
    plan: Plan,
    t: Topology,
    kinds: Mapping[Address, Kind],
    layout: Layout,
    now: datetime,
    secrets: Secrets,
    progress: Progress,
) -> ApplyContext:
    observed = Observation(layout)
    observed.check_topology(t.name)
    if plan.topology != t.name:
        raise PlanError(f'the plan is for the topology "{plan.topology}", not for "{t.name}"')
    return ApplyContext(
        desired=desire(t),
        existing={ca.name: existing.load(t, ca) for ca in t.cas.values() if ca.existing is not None},
        kinds=kinds,
        layout=layout,
        observed=observed,
        now=now,
        secrets=secrets,
        progress=progress,
        writer=Writer(layout),
        record=ledger.Recorder(layout, now),
        projects=records.Recorder(layout),
    )


def _check_world(plan: Plan, observed: Observation) -> None:
    if plan.world != world(observed):
        raise Overtaken(
            f"{observed.layout.out} has changed since the plan was made",
            hint="plan again; nothing was changed by this one",
        )


def _prepare(context: ApplyContext) -> None:
    for path in list(files.stale_temporaries(context.layout)):
        context.writer.remove(path)
    if context.observed.ledger.topology is None:
        context.record.topology(context.topology.name)
    there = context.observed.edited_digest(GITIGNORE)
    if there is None or gitignore.is_former(there):
        context.writer.write(GITIGNORE, gitignore.OUT)


def _carry_out(context: ApplyContext, plan: Plan) -> None:
    _revoke(context, [change for change in plan.changes if change.work is Work.REVOKE])
    of_cas = [change for change in plan.changes if change.address.role is Role.CA]
    of_parties = [change for change in plan.changes if change.address.role is not Role.CA]
    _make_cas(context, of_cas)
    settled = context.authorities()
    asked = {one.address: one for one in context.asked_certificates()}
    certificates = {Work.NEW_KEY, Work.ISSUE, Work.PLACE}
    leaves.make(context, [change for change in of_parties if change.work in certificates], asked, settled)
    parties = {one.party.address: one for one in context.desired.parties}
    for change in of_parties:
        if change.work is Work.BUNDLE:
            leaves.bundle(context, parties[change.address.entity], settled)
            context.progress(change)
        elif change.work is Work.STAPLE:
            staples.make(context, parties[change.address.entity])
            context.progress(change)
    projects.make(context, of_parties, parties, settled)
    _remove(context, [change for change in plan.changes if change.work is Work.REMOVE])


def _revoke(context: ApplyContext, changes: Sequence[Change]) -> None:
    """All at once, and before any CRL: from here on every plan carries it through, whatever happens."""
    entries = [
        ledger.Revoked(one.ca, one.serial, one.reason, context.now, one.replace)
        for change in changes
        for one in change.revocations
    ]
    if entries:
        context.record.revoked(entries)
        context.observed.ledger = ledger.load(context.layout)
    for change in changes:
        context.progress(change)


def _make_cas(context: ApplyContext, changes: Sequence[Change]) -> None:
    cas = {one.ca.address: one for one in context.desired.cas}
    asked = {one.certificate.address: one.certificate for one in context.desired.cas if one.certificate is not None}
    with context.making_keys(asked[change.address] for change in changes if change.work is Work.NEW_KEY):
        for change in changes:
            if change.work in (Work.REMOVE, Work.REVOKE):
                continue
            one = cas[change.address.entity]
            if change.work is Work.SIGN:
                authorities.sign_crl(context, one)
            else:
                authorities.make(context, one, change)
            context.progress(change)


def _remove(context: ApplyContext, changes: Sequence[Change]) -> None:
    asked = {one.party.address for one in context.desired.parties}
    for change in changes:
        for path in change.paths:
            context.writer.remove(path)
        entity = change.address.entity
        if change.address.part is Part.PROJECT and entity not in asked:
            context.projects.gone(entity)
        elif change.address.part is Part.BUNDLE:
            context.projects.gone(change.address)
        context.progress(change)
    context.projects.flush()
