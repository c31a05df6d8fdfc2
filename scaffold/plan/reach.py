"""How far a revocation reaches: who refuses the certificate from then on, and who accepts it until it ends."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from scaffold.errors import Unreadable
from scaffold.pki import crl as crls
from scaffold.plan.make import Basis
from scaffold.plan.model import Plan
from scaffold.store import ledger
from scaffold.topology import graph
from scaffold.topology.address import Address, Part, Role
from scaffold.topology.model import Client, OnUnavailable, Party, RevocationCheck, Server, Topology


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
    """Of one certificate: who refuses it, who accepts it (they check nothing), and of whom that is not known.

    Nobody else in the topology is shown it, or lets its holder in. `not_after` is its end; None where it was not
    issued here.
    """

    address: Address
    serial: str
    not_after: datetime | None
    refused_by: tuple[Refusal, ...] = ()
    accepted_by: tuple[Address, ...] = ()
    unknown: tuple[Address, ...] = ()
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
    issued = basis.observed.ledger.by_serial.get((ca, serial))
    shown_to = {party.address: party for party in _shown_to(basis.topology, address)}.values()
    known = [(one, _by(basis, one, address, replaced=replaced)) for one in shown_to if not _is_external(one)]
    return Reach(
        address,
        serial,
        issued.not_after if issued is not None else None,
        refused_by=tuple(_refusal(checker, by) for checker, by in known if by is not None),
        accepted_by=tuple(checker.address for checker, by in known if by is None),
        unknown=tuple(one.address for one in shown_to if _is_external(one)),
        behind=tuple(one.address for one in shown_to if not _is_external(one) and _is_behind(basis, one)),
    )


def _refusal(checker: Party, by: By) -> Refusal:
    fails_open = by is not By.ALLOW_LIST and checker.on_unavailable is OnUnavailable.ALLOW
    return Refusal(checker.address, by, fails_open=fails_open)


def _by(basis: Basis, checker: Party, address: Address, *, replaced: bool) -> By | None:
    """What `checker` refuses the certificate by; None where it does not."""
    check = _in_force(basis, checker)
    if check is not RevocationCheck.NONE:
        return By(check.value)
    sees_key = basis.kinds[checker.address].capabilities.sees_issuer_by == "key"
    of_ca = address.role is Role.CA and replaced and isinstance(checker, Server)
    return By.ALLOW_LIST if of_ca and sees_key else None


def _in_force(basis: Basis, checker: Party) -> RevocationCheck:
    """What the project that stands there checks: an edit may hold it back behind what the topology says."""
    record = basis.observed.records.by_address.get(checker.address)
    return RevocationCheck(record.guard.check_revocation) if record and record.guard else checker.check_revocation


def _is_behind(basis: Basis, checker: Party) -> bool:
    return _in_force(basis, checker) is RevocationCheck.NONE is not checker.check_revocation


def _shown_to(t: Topology, address: Address) -> Iterator[Party]:
    """Whoever is shown the certificate and would let its holder in: servers of a caller's, callers of a server's."""
    if address.role is Role.CA:
        for party in graph.parties(t):
            if party.issuer in t.cas and address.name in {ca.name for ca in graph.chain(t, party.issuer)}:
                yield from _peers(t, party)
        return
    parties: Mapping[str, Party] = t.servers if address.role is Role.SERVER else t.clients
    if address.name not in parties:
        return  # nobody lists who is not in the topology any more
    party = parties[address.name]
    if isinstance(party, Server) and address.part is not Part.CLIENT_CERTIFICATE:
        yield from graph.callers(t, party.name)
    else:
        yield from (t.servers[name] for name in party.calls)


def _peers(t: Topology, party: Party) -> Iterator[Party]:
    yield from (t.servers[name] for name in party.calls)
    if isinstance(party, Server):
        yield from graph.callers(t, party.name)


def _is_external(party: Party) -> bool:
    return isinstance(party, Client) and party.external is not None


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
