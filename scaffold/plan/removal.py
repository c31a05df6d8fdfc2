"""What was made and is not asked for any more: of an entity that left the topology, or of a part that it gave up."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from scaffold.plan.desired import Desired, DesiredParty
from scaffold.plan.model import Action, Change, Reason, Work
from scaffold.store.layout import FOLDERS, CertificatePaths, ca_paths, party_paths
from scaffold.store.observation import Observation
from scaffold.store.projects import Record


def stale_trust(
    one: DesiredParty, fixed: Collection[str], rendered: frozenset[str] | None, observed: Observation
) -> Iterator[tuple[str, Reason]]:
    """Files in `tls/` that were scaffold's and are not needed any more."""
    record = observed.records.by_address.get(one.party.address, Record())
    recorded = [path for path in record.files if path.startswith(one.paths.tls + "/")] if rendered is not None else []
    for path in dict.fromkeys((*one.paths.fixed_trust, *recorded)):
        if path not in fixed and path not in (rendered or ()) and observed.exists(path):
            yield path, Reason("stale", f"{path} is not needed any more")


def leftovers(desired: Desired, observed: Observation) -> Iterator[Change]:
    """The deletions, last in the plan: servers and clients first, then CAs from the leaves up."""
    for one in desired.parties:
        yield from _parts_given_up(one, observed)
    asked = {one.party.address for one in desired.parties} | {one.ca.address for one in desired.cas}
    left = [
        (role, name)
        for role in ("server", "client", "ca")
        for name in observed.names(FOLDERS[role])
        if f"{role}.{name}" not in asked
    ]
    made = _made_here(observed) if left else frozenset()
    for role, name in left:
        if role == "ca":
            yield from _ca(name, observed, known=f"ca.{name}" in made)
        elif f"{role}.{name}" in made:
            yield from _party(role, name, observed)


def _made_here(observed: Observation) -> frozenset[str]:
    """The addresses of all entities of which something was ever made."""
    issued = (_entity(one.address) for one in observed.ledger.issued.values())
    return frozenset((*issued, *map(_entity, observed.records.by_address)))


def _entity(address: str) -> str:
    return ".".join(address.split(".")[:2])


def _parts_given_up(one: DesiredParty, observed: Observation) -> Iterator[Change]:
    address, paths = one.party.address, one.paths
    if one.client_side is None:
        second = (paths.client_side.key, paths.client_side.certificate)
        yield from _removal(f"{address}.client-certificate", second, f"{address} calls nobody", observed)
    if one.party.pfx is None:
        bundle = (paths.bundle, paths.bundle_password)
        yield from _removal(f"{address}.bundle", bundle, f"{address} asks for no PFX", observed)


def _party(role: str, name: str, observed: Observation) -> Iterator[Change]:
    address = f"{role}.{name}"
    paths = party_paths("server" if role == "server" else "client", name)
    why = f"{address} is not in the topology any more"
    certificates = (*_pair(paths.own), *_pair(paths.client_side), paths.bundle, paths.bundle_password)
    yield from _removal(f"{address}.certificate", certificates, why, observed)
    record = observed.records.by_address.get(address, Record())
    ours = [path for path in record.ours if _unedited(path, paths.tls, record, observed)]
    yield from _removal(f"{address}.project", (*paths.fixed_trust, *ours), why, observed)


def _pair(paths: CertificatePaths) -> tuple[str, str]:
    return paths.key, paths.certificate


def _unedited(path: str, tls: str, record: Record, observed: Observation) -> bool:
    there = observed.edited_digest(path)
    return there is not None and (path.startswith(tls + "/") or record.is_ours(path, there))


def _ca(name: str, observed: Observation, *, known: bool) -> Iterator[Change]:
    paths = ca_paths(name)
    if not known and observed.exists(paths.key):
        return
    files = (paths.certificate, paths.der, paths.chain, paths.crl, paths.key, paths.key_password)
    why = f"ca.{name} is not in the topology any more"
    if observed.exists(paths.key):
        why += ", and its private key is deleted for good"
    yield from _removal(f"ca.{name}.certificate", files, why, observed)


def _removal(address: str, paths: tuple[str, ...], why: str, observed: Observation) -> Iterator[Change]:
    there = tuple(dict.fromkeys(path for path in paths if observed.exists(path)))
    if there:
        yield Change(address, Action.DELETE, (Reason("not-asked-for", why),), there, Work.REMOVE)
