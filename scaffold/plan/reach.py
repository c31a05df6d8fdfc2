"""How far a revocation reaches: who refuses the certificate from then on, and who accepts it until it ends."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from scaffold.errors import Unreadable
from scaffold.kinds import by_chain
from scaffold.kinds.catalogue import Kind
from scaffold.pki import crl as crls
from scaffold.plan.basis import Basis
from scaffold.plan.model import Plan
from scaffold.settings.peers import server_name
from scaffold.settings.subjects import rfc2253
from scaffold.store import ledger
from scaffold.store.ledger import Issued
from scaffold.topology import graph
from scaffold.topology.address import Address, Part, Role
from scaffold.topology.model import OnUnavailable, Party, RevocationCheck, Server
from scaffold.topology.names import covers


class By(enum.StrEnum):
    """What a certificate is refused by."""

    CRL = "crl"
    OCSP = "ocsp"
    ALLOW_LIST = "allow-list"
    """It names the key of the CA, which is another now."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Somebody who refuses; older answers of a CRL or responder are believed until `believed_until`, where known.

    `fails_open`: whether the certificate is accepted for as long as no CRL or answer can be had.
    """

    address: Address
    by: By
    believed_until: datetime | None = None
    fails_open: bool = False


@dataclass(frozen=True, slots=True)
class Reach:
    """Of one certificate: who refuses it, who accepts it (they do not look it up), and of whom that is not known.

    Nobody else in the topology lets its holder in, or takes it for a server that is called. `not_after` is its end;
    None where it was not issued here.
    """

    address: Address
    serial: str
    not_after: datetime | None
    refused_by: tuple[Refusal, ...] = ()
    accepted_by: tuple[Address, ...] = ()
    unknown: tuple[Address, ...] = ()
    callers_only: tuple[Address, ...] = ()
    """Those in `accepted_by` that look up who calls them, and not this one, whom they call."""
    behind: tuple[Address, ...] = ()
    """Those in `accepted_by` that will check once their projects are as the topology says."""


def reaches(plan: Plan, basis: Basis) -> tuple[Reach, ...]:
    """What the revocations of a plan come to."""
    found = []
    for change in plan.changes:
        for one in change.revocations:
            if one.reason != ledger.LIFTED:
                reached = reach(basis, change.address, one.ca, one.serial, replaced=one.replace)
                refusals = [_with_end(basis, refusal, one.ca) for refusal in reached.refused_by]
                found.append(replace(reached, refused_by=tuple(refusals)))
    return tuple(found)


def reach(basis: Basis, address: Address, ca: str, serial: str, *, replaced: bool) -> Reach:
    """How far the revocation of the certificate with `serial` that `ca` has issued to `address` reaches.

    `replaced`: whether its holder gets another, a CA over a key of its own.
    """
    issued = basis.ledger.by_serial.get((ca, serial))
    meetings: dict[Address, list[_Meeting]] = {}
    for one in _shown_to(basis, address, issued):
        meetings.setdefault(one.party.address, []).append(one)
    refused: list[Refusal] = []
    accepted: list[Address] = []
    unknown: list[Address] = []
    behind: list[Address] = []
    callers_only: list[Address] = []
    for checker, of_it in meetings.items():
        party = of_it[0].party
        if party.is_external:
            unknown.append(checker)
            continue
        found = [_by(basis, one, address, replaced=replaced) for one in of_it]
        if None not in found:
            refused.extend(_refusal(party, by) for by in found[:1] if by is not None)
        else:
            accepted.append(checker)
            if _in_force(basis, party) is not RevocationCheck.NONE:
                callers_only.append(checker)
        if _is_behind(basis, party):
            behind.append(checker)
    return Reach(
        address,
        serial,
        issued.not_after if issued is not None else None,
        refused_by=tuple(refused),
        accepted_by=tuple(accepted),
        unknown=tuple(unknown),
        behind=tuple(behind),
        callers_only=tuple(callers_only),
    )


@dataclass(frozen=True, slots=True)
class _Meeting:
    """Who is shown a certificate, and whether it is that of a server that it calls."""

    party: Party
    of_callee: bool


def _refusal(checker: Party, by: By) -> Refusal:
    fails_open = by is not By.ALLOW_LIST and checker.on_unavailable is OnUnavailable.ALLOW
    return Refusal(checker.address, by, fails_open=fails_open)


def _by(basis: Basis, meeting: _Meeting, address: Address, *, replaced: bool) -> By | None:
    """What the certificate is refused by; None where it is not."""
    checker, can = meeting.party, basis.kinds[meeting.party.address].capabilities
    check = _in_force(basis, checker)
    if check is not RevocationCheck.NONE and (not meeting.of_callee or check in can.checks_callees):
        return By(check.value)
    of_ca = address.role is Role.CA and replaced and not meeting.of_callee
    return By.ALLOW_LIST if of_ca and can.sees_issuer_by == "key" else None


def _in_force(basis: Basis, checker: Party) -> RevocationCheck:
    """What the project that is there checks: an edit may hold it back behind what the topology says."""
    record = basis.observed.records.by_address.get(checker.address)
    return RevocationCheck(record.guard.check_revocation) if record and record.guard else checker.check_revocation


def _is_behind(basis: Basis, checker: Party) -> bool:
    return _in_force(basis, checker) is RevocationCheck.NONE is not checker.check_revocation


def _shown_to(basis: Basis, address: Address, issued: Issued | None) -> Iterator[_Meeting]:
    """Whoever is shown the certificate and would let its holder in, or take it for a server that it calls."""
    t = basis.topology
    if address.role is Role.CA:
        for party in graph.parties(t):
            if _is_below(basis, address.name, party.calling_issuer):
                yield from (_Meeting(t.servers[name], of_callee=False) for name in party.calls)
            if _is_below(basis, address.name, party.issuer) and isinstance(party, Server):
                yield from (_Meeting(caller, of_callee=True) for caller in graph.callers(t, party.name))
        return
    shown_by_server = address.role is Role.SERVER and address.part is not Part.CLIENT_CERTIFICATE
    if shown_by_server:
        yield from _believing(basis, address, issued)
    if not shown_by_server or (address.name in t.servers and t.servers[address.name].one_leaf):
        yield from _letting_in(basis, address, issued)


def _is_below(basis: Basis, ca: str, issuer: str) -> bool:
    t = basis.topology
    return issuer in t.cas and ca in {each.name for each in graph.chain(t, issuer)}


def _believing(basis: Basis, address: Address, issued: Issued | None) -> Iterator[_Meeting]:
    """Those who call a server by a name that the certificate has, whoever that server is."""
    t = basis.topology
    for caller, callee in graph.edges(t):
        if _is_own(callee, address) or (issued is not None and _passes_for(basis, issued, caller, callee)):
            yield _Meeting(caller, of_callee=True)


def _passes_for(basis: Basis, issued: Issued, caller: Party, callee: Server) -> bool:
    """Whether `caller` would take the certificate for that of `callee`: root and name are right."""
    t = basis.topology
    if issued.ca not in t.cas or not callee.issued_here:
        return False  # which root it was below is not known any more; or no root of ours vouches for the callee
    if graph.root_of(t, issued.ca) is not graph.root_of(t, callee.issuer):
        return False  # each server is believed by its own root
    expected, names = server_name(callee), issued.names
    if not caller.is_external and _takes_common_names(basis.kinds[caller.address], names):
        names = (*names, *_COMMON_NAME.findall(issued.subject))
    return any(covers(name, expected) for name in names)


def _takes_common_names(kind: Kind, names: Iterable[str]) -> bool:
    """Whether the common name passes for a host's beside these names."""
    supports = kind.capabilities.supports
    if "takes_common_names" in supports:
        return True
    return "takes_lone_common_names" in supports and not any(map(_is_dns, names))


def _is_dns(name: str) -> bool:
    """Whether a name is neither a URI nor an IP address."""
    return ":" not in name and not name.replace(".", "").isdigit()


_COMMON_NAME = re.compile(r"(?:^|[,+])CN=([^,+]*)")


def _letting_in(basis: Basis, address: Address, issued: Issued | None) -> Iterator[_Meeting]:
    """The servers that let the holder in: as itself, as a caller with whose identity it comes, or as anybody."""
    t = basis.topology
    for caller, server in graph.edges(t):
        if _is_own(caller, address) or (issued is not None and _is_taken_for(basis, issued, caller, server)):
            yield _Meeting(server, of_callee=False)
    if issued is not None:
        for server in t.servers.values():
            decides_by_chain = basis.kinds[server.address].capabilities.decides_by_chain
            if decides_by_chain and by_chain.admits(t, server, issued.ca):
                yield _Meeting(server, of_callee=False)


def _is_taken_for(basis: Basis, issued: Issued, caller: Party, server: Server) -> bool:
    """Whether `server` could not tell the holder from `caller`: an allow list's entry is issuer and identity."""
    if issued.ca != caller.calling_issuer or caller.is_external:
        return False
    if basis.kinds[server.address].capabilities.decides_by_chain:
        return False  # it takes nobody for another: it asks for no name
    if basis.kinds[server.address].capabilities.sees_issuer_by == "key":
        return caller.identity in issued.names
    return issued.subject == rfc2253(caller.calling_subject)


def _is_own(party: Party, address: Address) -> bool:
    return party.address == address.entity


def _with_end(basis: Basis, refusal: Refusal, ca: str) -> Refusal:
    """The refusal with the moment at which the last answer ends that does not know of the revocation."""
    generations = basis.desired.generations(ca)
    if not generations or refusal.by is By.ALLOW_LIST:
        return refusal
    if refusal.by is By.OCSP:
        life = generations[0].ca.revocation.ocsp
        return replace(refusal, believed_until=basis.now + life if life is not None else None)
    try:
        there = [crl for one in generations for crl in crls.load_all(basis.observed.content(one.paths.crl) or b"")]
    except Unreadable:
        return refusal
    return replace(
        refusal, believed_until=max((crl.next_update_utc for crl in there if crl.next_update_utc), default=None)
    )
