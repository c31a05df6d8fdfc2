"""Takes the inventory: the topology, what is on the disk, what the state says, and what verify saw last."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from scaffold.inventory.model import (
    Applied,
    CaEntry,
    Call,
    Certificate,
    Checking,
    Inventory,
    PartyEntry,
    Source,
    Verified,
)
from scaffold.pki import keys, permits
from scaffold.pki.names import rfc2253
from scaffold.plan.basis import Basis
from scaffold.plan.desired import AdoptedCa, DesiredCa
from scaffold.plan.drift import drift_in_tls
from scaffold.plan.make import Planned
from scaffold.plan.model import Action, Change
from scaffold.plan.status import CertificateStatus, State, Status, status
from scaffold.store.layout import party_paths
from scaffold.topology import graph
from scaffold.topology.address import Address, Part
from scaffold.topology.model import NameConstraints, Party, RevocationCheck, Server
from scaffold.verify.last_run import LastRun, folder_digest


def take(planned: Planned, last_run: LastRun, now: datetime) -> Inventory:
    """The inventory at `now`. Raises StoreError."""
    basis, found = planned.basis, status(planned, clock=now)
    of_states = _Looked(basis, found)
    cas = tuple(of_states.ca(one) for one in basis.desired.cas)
    parties = tuple(of_states.party(party) for party in graph.parties(basis.topology))
    return Inventory(
        basis.topology.name,
        now,
        _applied(planned, found),
        dict(Counter(change.action.value for change in planned.plan.changes if _is_behind(change))),
        cas,
        parties,
        tuple(sorted(found.revoked, key=lambda one: one.at, reverse=True)),
        _verified(basis, last_run),
        tuple(map(str, basis.lost)),
        basis.topology.reproducible is not None,
        drift_in_tls(planned.plan),
    )


def _applied(planned: Planned, found: Status) -> Applied:
    states = [*(one.state for one in found.certificates), *(one.state for one in found.crls)]
    if set(states) <= {State.MISSING} and planned.basis.observed.ledger.topology is None:
        return Applied.NEVER
    if State.MISSING in states:
        return Applied.PARTLY
    return Applied.BEHIND if any(_is_behind(change) for change in planned.plan.changes) else Applied.WHOLE


def _is_behind(change: Change) -> bool:
    """Whether the topology says otherwise: what is only due is told of each certificate."""
    return not change.can_wait and change.action is not Action.RENEW


class _Looked:
    """What is needed of one look at topology and folder to describe an entity."""

    def __init__(self, basis: Basis, found: Status) -> None:
        self._basis = basis
        self._certificates = {one.address: one for one in found.certificates}
        self._crls = {one.address: one for one in found.crls}
        self._signs_cas = Counter(ca.issuer for ca in basis.topology.cas.values())
        self._signs_leaves = Counter(
            name
            for party in graph.parties(basis.topology)
            if not party.is_external
            for name in graph.issuers(basis.topology, party)
        )

    def ca(self, one: DesiredCa) -> CaEntry:
        ca, address = one.ca, one.address
        certificate = (
            self._basis.existing[ca.name].certificate
            if isinstance(one, AdoptedCa)
            else self._basis.observed.certificate(one.paths.certificate).certificate
        )
        said = self._certificates.get(address.with_part(Part.CERTIFICATE))
        known = said or CertificateStatus(address.with_part(Part.CERTIFICATE), State.MISSING)
        return CaEntry(
            address,
            ca.owner,
            Source.ELSEWHERE if ca.existing is not None else Source.HERE,
            Address.ca(ca.issuer) if ca.issuer is not None else None,
            one.state,
            _certificate(known, certificate),
            self._crls.get(address.with_part(Part.CRL)),
            ca.path_length if certificate is None else _path_length(certificate),
            ca.name_constraints if certificate is None else _constraints(certificate),
            ca.revocation,
            (self._signs_cas[ca.name], self._signs_leaves[ca.name]),
        )

    def party(self, party: Party) -> PartyEntry:
        t, address = self._basis.topology, party.address
        server = party if isinstance(party, Server) else None
        issuers = (party.issuer,) if party.is_external else graph.issuers(t, party)
        callers = graph.callers(t, party.name) if server is not None else ()
        return PartyEntry(
            address,
            party.owner,
            _source(party),
            party.template,
            tuple(map(Address.ca, issuers)),
            party.identity,
            str(server.dial) if server is not None else None,
            tuple(self._certificates_of(party)),
            self._checking(party),
            tuple(_call(caller, server) for caller in callers if server is not None),
            tuple(_call(party, t.servers[name]) for name in party.calls),
            tuple(map(Address.ca, server.accepts)) if server is not None else (),
            party.fault,
            _passes_on(server) if server is not None else None,
        )

    def _certificates_of(self, party: Party) -> Iterable[Certificate]:
        paths = party_paths(party.address.role, party.name)
        files = {Part.CERTIFICATE: paths.own.certificate, Part.CLIENT_CERTIFICATE: paths.client_side.certificate}
        for part, path in files.items():
            if (known := self._certificates.get(party.address.with_part(part))) is not None:
                yield _certificate(known, self._basis.observed.certificate(path).certificate)

    def _checking(self, party: Party) -> Checking | None:
        if party.is_external:
            return None
        record = self._basis.observed.records.by_address.get(party.address)
        guard = record.guard if record is not None else None
        return Checking(
            party.check_revocation,
            RevocationCheck(guard.check_revocation) if guard is not None else None,
            party.on_unavailable,
            self._crls.get(party.address.with_part(Part.TRUST)),
        )


def _certificate(known: CertificateStatus, certificate: x509.Certificate | None) -> Certificate:
    if certificate is None:
        return Certificate(known)
    try:
        return _described(known, certificate)
    except (ValueError, UnsupportedAlgorithm):  # broken on purpose, or by somebody else
        return Certificate(known)


def _described(known: CertificateStatus, certificate: x509.Certificate) -> Certificate:
    kind = keys.key_type(certificate.public_key())
    return Certificate(
        known,
        rfc2253(certificate.subject),
        rfc2253(certificate.issuer),
        tuple(map(str, permits.names_in(certificate))),
        kind.value if kind is not None else "",
    )


def _path_length(certificate: x509.Certificate) -> int | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length
    except (x509.ExtensionNotFound, ValueError):
        return None


def _constraints(certificate: x509.Certificate) -> NameConstraints | None:
    try:
        found = permits.constraints_of(certificate)
    except ValueError:
        return None
    return found if found.permitted or found.excluded else None


def _passes_on(server: Server) -> Address | str | None:
    if server.upstream is not None:
        return Address.server(server.upstream)
    return str(server.backend) if server.backend is not None else None


def _source(party: Party) -> Source:
    if party.is_external:
        return Source.EXTERNAL
    if party.existing is not None:
        return Source.ELSEWHERE
    return Source.REQUEST if party.csr is not None else Source.HERE


def _call(caller: Party, server: Server) -> Call:
    faults = tuple(party.fault for party in (caller, server) if party.fault is not None)
    return Call(caller.address, server.address, caller.identity, caller.roles.get(server.name, ()), faults)


def _verified(basis: Basis, last_run: LastRun) -> Verified | None:
    t = basis.topology
    seen = tuple(one for one in last_run.seen if one.check.server in t.servers)
    if not seen:
        return None
    here = [party for party in graph.parties(t) if not party.is_external]
    now = {str(party.address): folder_digest(basis.observed.layout, basis.observed.records, party) for party in here}
    changed, unknown = _compared(last_run.folders, now)
    return Verified(
        seen,
        tuple(party.address for party in here if str(party.address) in changed),
        tuple(party.address for party in here if str(party.address) in unknown),
    )


def _compared(then: Mapping[str, str], now: Mapping[str, str]) -> tuple[set[str], set[str]]:
    """Whose files have changed, and of whom nothing was kept."""
    changed = {address for address, sha256 in now.items() if address in then and then[address] != sha256}
    return changed, {address for address in now if address not in then}
