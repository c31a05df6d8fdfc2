"""Makes the plan: what is desired, what is observed, and the difference."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from scaffold.errors import PlanError
from scaffold.issuers.port import Mounted
from scaffold.kinds import limits
from scaffold.kinds.catalogue import Kind
from scaffold.pki import crl as crls
from scaffold.plan import clock, former_name, named_files, passwords, recovery
from scaffold.plan.authorities import Authorities
from scaffold.plan.basis import NOTHING_ASKED, Asked, Basis
from scaffold.plan.desired import Desired, IssuedCertificate, desire
from scaffold.plan.diff import diff
from scaffold.plan.memo import Memo
from scaffold.plan.model import Change, Plan
from scaffold.plan.notes import notes
from scaffold.plan.recovery import Recovered
from scaffold.plan.signers import signing
from scaffold.store import existing, moving, rights
from scaffold.store.examined import Remembered
from scaffold.store.existing_ca import ExistingCa
from scaffold.store.existing_leaf import NOTHING_BROUGHT, Brought
from scaffold.store.layout import Layout
from scaffold.store.observation import Observation
from scaffold.topology import graph
from scaffold.topology.address import Address, Part
from scaffold.topology.generations import ONE_EACH, Generations
from scaffold.topology.mistakes import Mistakes, raise_all
from scaffold.topology.model import Topology
from scaffold.topology.notes import Note


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan, and what it was worked out from: apply goes on with that."""

    plan: Plan
    basis: Basis
    authorities: Authorities
    memo: Memo


def look(
    t: Topology,
    kinds: Mapping[Address, Kind],
    layout: Layout,
    now: datetime,
    issuers: Mounted | None = None,
    generations: Generations = ONE_EACH,
    remembered: Remembered | None = None,
    *,
    keys_away: bool = False,
) -> Basis:
    """Looks at all that a plan needs; no password is asked for.

    `kinds` is by the address of each server and client; what a kind cannot enforce is refused. `issuers` issue in the
    place of CAs' keys on disk; `generations` are those of CAs with more than one. What is `remembered` spares work, and
    changes no answer. `keys_away`: a private key that is not there is no difference. The moment of a reproducible
    topology is its own, whatever `now` is. Raises TopologyError for all at once that the topology asks for and that
    cannot be, StoreError, KindError, PkiError.
    """
    mounted = issuers or {}
    if t.reproducible is not None:
        now = t.reproducible.at
    observed = Observation(layout, keys_away=keys_away)
    observed.check_topology(t.name)
    observed.ledger.check()
    moving.check_finished(layout, observed.ledger, frozenset(party.address for party in graph.parties(t)))
    desired = desire(t, mounted, generations)
    adopted, said = _check(desired, kinds, observed, now)
    brought = _brought(desired, adopted, kinds, observed, now)
    of_name = former_name.notes(t, layout)
    notes_, recovered = (*of_name, *said, *brought.notes), recovery.recover(desired, observed, adopted)
    given = rights.of_topology(t, with_owners=not keys_away)
    return Basis(desired, observed, adopted, kinds, now, notes_, mounted, remembered, brought, recovered, given)


def _existing(t: Topology, mistakes: Mistakes, *, keys_away: bool) -> dict[str, ExistingCa]:
    """The adopted CAs whose files are in order, by name; what is wrong with the others is among the mistakes."""
    asked = (ca for ca in t.cas.values() if ca.existing is not None)
    found = ((ca.name, existing.read(t, ca, mistakes, keys_away=keys_away)) for ca in asked)
    return {name: one for name, one in found if one is not None}


def _check(
    desired: Desired, kinds: Mapping[Address, Kind], observed: Observation, now: datetime
) -> tuple[Mapping[str, ExistingCa], tuple[Note, ...]]:
    """The adopted CAs, and the plan's notes. Raises TopologyError for all at once that cannot be."""
    t, mistakes = desired.topology, Mistakes()
    on_files: tuple[Note, ...] = ()
    of_kinds: tuple[Note, ...] = ()
    on_adopted: tuple[Note, ...] = ()
    adopted = _existing(t, mistakes, keys_away=observed.keys_away)
    with mistakes.gathering():
        on_files = named_files.check(t, observed.layout)
    with mistakes.gathering():
        of_kinds = limits.check(t, kinds)
    if t.reproducible is not None:
        with mistakes.gathering():
            _check_reproducible(desired, adopted)
    with mistakes.gathering():
        on_adopted = _on_adopted(desired, adopted, kinds, observed, now)
    mistakes.check()
    return adopted, (*of_kinds, *notes(t), *on_files, *on_adopted, *passwords.for_git(t))


def _check_reproducible(desired: Desired, adopted: Mapping[str, ExistingCa]) -> None:
    # Loaded for those who have such a topology: most have not.
    from scaffold.plan.reproducible import check

    check(desired, adopted)


def _on_adopted(
    desired: Desired,
    adopted: Mapping[str, ExistingCa],
    kinds: Mapping[Address, Kind],
    observed: Observation,
    now: datetime,
) -> tuple[Note, ...]:
    if not adopted:
        return ()
    # Loaded for those who have adopted a CA: most have not.
    from scaffold.plan.adopted import check

    return check(desired, adopted, kinds, observed, now)


def _brought(
    desired: Desired,
    adopted: Mapping[str, ExistingCa],
    kinds: Mapping[Address, Kind],
    observed: Observation,
    now: datetime,
) -> Brought:
    t, brought = desired.topology, NOTHING_BROUGHT
    # Loaded for those who have something from elsewhere: most have nothing.
    if any(party.existing is not None for party in graph.parties(t)):
        from scaffold.plan.adopted_leaves import bring

        brought = bring(t, adopted, kinds, observed, now)
    if any(party.csr is not None for party in graph.parties(t)):
        from scaffold.plan import requests

        found, problems = requests.read(t, requests.keys_of_cas(desired, observed, adopted))
        brought = replace(brought, requests=found, problems={**brought.problems, **problems})
    return brought


def with_folder(basis: Basis) -> Basis:
    """The same, with every certificate of the folder that the ledger does not know."""
    known = recovery.with_folder(basis.ledger, basis.desired, basis.observed, basis.existing)
    return replace(basis, recovered=Recovered(known, basis.lost, basis.revoked_elsewhere))


def plan_all(basis: Basis, asked: Asked = NOTHING_ASKED) -> Planned:
    """What apply would do, and why; nothing is written.

    What is wrong with a certificate from elsewhere is raised too, unless what is pending is held. Raises
    TopologyError, StoreError, KindError, PlanError.
    """
    if not asked.hold_pending:
        raise_all(basis.brought.problems.values())
    return plan_as_it_stands(basis, asked)


def plan_as_it_stands(basis: Basis, asked: Asked = NOTHING_ASKED) -> Planned:
    """The same, whatever is wrong with certificates from elsewhere: those stay as they are, with a note."""
    _check_overwrite(basis.topology, asked.overwrite)
    found = diff(basis, asked)
    basis = _with_unrecorded(basis, found.unrecorded)
    if basis.existing:
        from scaffold.plan.adopted import refuse_invalid

        refuse_invalid(basis.topology, basis.existing, found.changes, basis.now)
    latest = clock.latest_before(basis.now, basis.observed, basis.desired.cas) if found.changes else None
    in_doubt = () if latest is None else (Note(None, clock.doubt(basis.now, latest)),)
    said = (*in_doubt, *basis.lost, *basis.notes, *found.notes, *passwords.notes(basis.topology, found.changes))
    if basis.observed.keys_away:
        said = (*said, *_away(basis.topology, found.changes))
    plan = Plan(
        topology=basis.topology.name,
        changes=found.changes if latest is None else tuple(replace(change, asks=True) for change in found.changes),
        notes=tuple(dict.fromkeys(said)),
        state_serial=basis.observed.serial,
        awaits=any(_brings_no_valid_crl(one, basis.now) for one in basis.existing.values()),
        clock_behind=latest,
    )
    return Planned(plan, basis, found.authorities, found.memo)


def _with_unrecorded(basis: Basis, unrecorded: Collection[IssuedCertificate]) -> Basis:
    """The same with what is to be said of certificates whose records were lost."""
    if not unrecorded:
        return basis
    said = recovery.notes_on(unrecorded, basis.desired, basis.observed, basis.existing)
    return replace(basis, recovered=Recovered(basis.ledger, (*basis.lost, *said), basis.revoked_elsewhere))


def _away(t: Topology, changes: Iterable[Change]) -> Iterator[Note]:
    """What a plan without keys cannot see, and whose keys its execution needs."""
    yield Note(None, "private keys are not checked (--no-keys)")
    cas = {name for change in changes for name in signing(t, change) if t.cas[name].issues_here}
    if cas:
        names = ", ".join(str(Address.ca(name)) for name in t.cas if name in cas)
        yield Note(None, f"apply needs the private keys of {names}: run it where they are")


def _brings_no_valid_crl(adopted: ExistingCa, now: datetime) -> bool:
    """Whether a CRL that it brings is not valid now: who looks it up refuses everyone."""
    return any(not crls.is_current(crl, now) for crl in (crls.load_all(adopted.crls) if adopted.crls else ()))


def make_plan(t: Topology, kinds: Mapping[Address, Kind], layout: Layout, now: datetime) -> Plan:
    """The whole plan, for those who only look at it. Raises as `look` and `plan_all` do."""
    return plan_all(look(t, kinds, layout, now)).plan


def _check_overwrite(t: Topology, addresses: Collection[Address]) -> None:
    own = [party.address for party in graph.parties(t)]
    bundles = [party.address.with_part(Part.BUNDLE) for party in graph.parties(t) if party.pfx is not None]
    for address in addresses:
        if address not in bundles and (address.entity not in own or address.part not in (None, Part.PROJECT)):
            known = ", ".join(map(str, [*own[:5], *bundles[:2]]))
            raise PlanError(f'nothing to overwrite at "{address}"', hint=f"use one of {known}")
