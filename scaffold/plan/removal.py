"""What was made and is not asked for any more: of an entity that left the topology, or of a part that it gave up."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Final

from scaffold.plan.desired import Desired, DesiredParty
from scaffold.plan.model import Action, Change, Work
from scaffold.plan.reasons import Reason, ReasonCode
from scaffold.store.layout import FOLDERS, CertificatePaths, PartyPaths, ca_paths, party_paths
from scaffold.store.observation import Observation
from scaffold.store.projects import Record
from scaffold.topology.address import Address, Part, Role
from scaffold.topology.generations import FIRST
from scaffold.topology.notes import Note


def stale_trust(
    one: DesiredParty, fixed: Collection[str], rendered: frozenset[str] | None, observed: Observation
) -> Iterator[tuple[str, Reason]]:
    """Files in `tls/` that were scaffold's and are not needed any more."""
    needed, own = {*fixed, *(rendered or ())}, one.paths.own
    there = {f"{one.paths.tls}/{name}" for name in observed.names(one.paths.tls)}
    if there <= {*needed, own.certificate, own.key}:
        return  # as in most projects
    fixed_names = (*one.paths.fixed_trust, *_trust_in_each(one.paths, observed))
    candidates = [path for path in fixed_names if path not in needed]
    record = observed.records.by_address.get(one.party.address) if rendered is not None else None
    if record is not None:
        others = [path for path in record.files if one.paths.is_in_tls(path) and path not in needed]
        candidates += [path for path in others if path not in one.paths.fixed_trust]
    for path in candidates:
        if observed.exists(path):
            yield path, Reason(ReasonCode.STALE, path)


def _trust_in_each(paths: PartyPaths, observed: Observation) -> Iterator[str]:
    """The files that are there of the roots which vouch for one server each: beside `ca.pem`, `ca.NAME.pem`."""
    folder = f"{paths.tls}/"
    begins = tuple(common.removeprefix(folder).removesuffix("pem") for common in (paths.trust, paths.client_trust))
    for name in observed.names(paths.tls):
        # A name has no dot.
        if name.startswith(begins) and name.endswith(".pem") and name.count(".") == _DOTS:
            yield folder + name


_DOTS: Final = 2


def leftovers(desired: Desired, observed: Observation, held: Collection[Address]) -> Iterator[Change]:
    """The deletions, last in the plan: servers and clients first, then CAs from the leaves up.

    A project that is `held` may still use what the topology has given up.
    """
    for one in desired.parties:
        if one.party.address not in held:
            yield from _parts_given_up(one, observed)
    entities = (*(one.party.address for one in desired.parties), *(one.ca.address for one in desired.cas))
    asked = {(address.role, address.name) for address in entities}
    left = [
        Address(role, name)
        for role in (Role.SERVER, Role.CLIENT, Role.CA)
        for name in observed.names(FOLDERS[role])
        if (role, name) not in asked
    ]
    made = _made_here(observed) if left else frozenset()
    for address in left:
        if address.role is Role.CA:
            yield from _ca(address, observed, known=address in made)
        elif address in made:
            yield from _party(address, observed)


def notes(removed: Iterable[Change], desired: Desired, observed: Observation) -> Iterator[Note]:
    """What stays of the servers that left: an app is a person's own."""
    for address in dict.fromkeys(change.address.entity for change in removed):
        if address.role is not Role.SERVER or address.name in desired.topology.servers:
            continue
        app = party_paths(address.role, address.name).app
        if observed.exists(app):
            yield Note(
                address.with_part(Part.APP), f"stays in {app}: it is yours; delete it yourself if you do not need it"
            )


def _made_here(observed: Observation) -> frozenset[Address]:
    """The addresses of all entities of which something was ever made."""
    issued = (one.address.entity for one in observed.ledger.issued.values())
    # Their certificates may be in the archive.
    cas = (Address.labelled(label).entity for label in observed.ledger.ca_keys)
    return frozenset((*issued, *cas, *(address.entity for address in observed.records.by_address)))


def _parts_given_up(one: DesiredParty, observed: Observation) -> Iterator[Change]:
    address, paths = one.party.address, one.paths
    if one.client_side is None:
        second = (paths.client_side.key, paths.client_side.certificate)
        yield from _removal(address, Part.CLIENT_CERTIFICATE, second, ReasonCode.CALLS_NOBODY, observed)
    if one.party.pfx is None:
        bundle = (paths.bundle, paths.bundle_password)
        yield from _removal(address, Part.BUNDLE, bundle, ReasonCode.NO_PFX, observed)
    if one.party.files is None:
        yield from _removal(address, Part.FILES, _derived(address, observed), ReasonCode.NO_FILES, observed)


def _derived(address: Address, observed: Observation) -> tuple[str, ...]:
    """What was made in `tls/` of other files there."""
    return tuple(observed.records.of(address.with_part(Part.FILES)).files)


def _party(address: Address, observed: Observation) -> Iterator[Change]:
    paths = party_paths(address.role, address.name)
    made = (paths.bundle, paths.bundle_password, *_derived(address, observed))
    certificates = (*_pair(paths.own), *_pair(paths.client_side), *made)
    yield from _removal(address, Part.CERTIFICATE, certificates, ReasonCode.GONE, observed)
    record = observed.records.of(address)
    ours = [path for path in record.ours if _unedited(path, paths, record, observed)]
    others = (*paths.fixed_trust, *_trust_in_each(paths, observed), *ours)
    ignore = _last(paths.ignore, (*certificates, *others), observed)
    yield from _removal(address, Part.PROJECT, (*others, *ignore), ReasonCode.GONE, observed)


def _last(ignore: str, removed: Collection[str], observed: Observation) -> tuple[str, ...]:
    """The `.gitignore` of a folder of secrets, unless a person's files stay in there: it keeps them out of git."""
    folder = ignore.rpartition("/")[0]
    stays = {f"{folder}/{name}" for name in observed.names(folder)} - {ignore, *removed}
    return () if stays else (ignore,)


def _pair(paths: CertificatePaths) -> tuple[str, str]:
    return paths.key, paths.certificate


def _unedited(path: str, paths: PartyPaths, record: Record, observed: Observation) -> bool:
    there = observed.edited_digest(path)
    return there is not None and (paths.is_in_tls(path) or record.is_ours(path, there))


def _generations(ca: Address, observed: Observation) -> tuple[Address, ...]:
    """Those of a CA that left the topology, the latest first: they are in folders of the first's."""
    labels = observed.ledger.ca_keys
    recorded = {found for label in labels if (found := Address.labelled(label)).entity == ca}
    return tuple(sorted(recorded | {ca}, key=lambda one: one.generation or FIRST, reverse=True))


def _ca(address: Address, observed: Observation, *, known: bool) -> Iterator[Change]:
    emptied: list[str] = []
    for one in _generations(address, observed):
        paths = ca_paths(one.name, one.generation)
        changes = tuple(_generation(one, observed, emptied, known=known))
        if any(paths.ignore in change.paths for change in changes):
            emptied.append(paths.folder)
        yield from changes


def _generation(address: Address, observed: Observation, emptied: list[str], *, known: bool) -> Iterator[Change]:
    """`emptied` are the folders of later generations, of which nothing is left."""
    paths = ca_paths(address.name, address.generation)
    if not known and observed.exists(paths.key):
        return
    files = (paths.certificate, paths.der, paths.chain, paths.crl, paths.key, paths.key_password)
    why = ReasonCode.GONE_WITH_KEY if observed.exists(paths.key) else ReasonCode.GONE
    ignore = _last(paths.ignore, (*files, *emptied), observed)
    yield from _removal(address, Part.CERTIFICATE, (*files, *ignore), why, observed)


def _removal(
    address: Address, part: Part, paths: tuple[str, ...], why: ReasonCode, observed: Observation
) -> Iterator[Change]:
    there = tuple(dict.fromkeys(path for path in paths if observed.exists(path)))
    if there:
        reasons, seen = (Reason(why, of=address),), observed.seen(there)
        yield Change(address.with_part(part), Action.DELETE, reasons, there, Work.REMOVE, seen, asks=True)
