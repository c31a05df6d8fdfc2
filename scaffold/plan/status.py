"""Every certificate and CRL against the clock, and what was revoked: what `scaffold status` shows."""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from cryptography import x509

from scaffold.errors import Unreadable
from scaffold.pki import bundles
from scaffold.pki import crl as crls
from scaffold.pki.names import rfc2253
from scaffold.plan.basis import Basis
from scaffold.plan.desired import AdoptedCa, AdoptedCertificate, DesiredCertificate, DesiredParty
from scaffold.plan.make import Planned
from scaffold.plan.model import Action, Change, Work
from scaffold.plan.reach import Reach, reach
from scaffold.plan.reasons import Reason
from scaffold.plan.standing_projects import address_of, has_lost_record, lost_record_note
from scaffold.settings.peers import needs_crls
from scaffold.store.archive import revoked_ever
from scaffold.store.existing_leaf import ends_soon
from scaffold.store.ledger import HOLD, Issued, Revoked
from scaffold.topology import graph
from scaffold.topology.address import Address, Part
from scaffold.topology.model import Ca, Fault, Party, Topology
from scaffold.topology.notes import Note


class State(enum.StrEnum):
    """The state of a certificate, from the best to the worst."""

    VALID = "valid"
    FAULT = "fault"
    """Broken on purpose, as its `fault:` asks."""
    DUE = "due"
    CHANGED = "changed"
    """The topology, its issuer or its files have changed: the plan says how."""
    NOT_YET_VALID = "not yet valid"
    EXPIRED = "expired"
    REVOKED = "revoked"
    UNREADABLE = "unreadable"
    MISSING = "missing"


FINE = frozenset({State.VALID, State.FAULT})


@dataclass(frozen=True, slots=True)
class CertificateStatus:
    """One certificate: serial and fingerprint in lower-case hex, dates in aware UTC; None where it is not there."""

    address: Address
    state: State
    serial: str | None = None
    not_before: datetime | None = None
    not_after: datetime | None = None
    fingerprint_sha256: str | None = None
    detail: str = ""
    reasons: tuple[Reason, ...] = ()
    """Why the plan changes it, where that is what there is to say of it."""
    reason: str | None = None
    """Why it was revoked: a CRLReason by its name in RFC 5280 5.3.1."""
    revoked_at: datetime | None = None

    @property
    def is_on_hold(self) -> bool:
        """Whether its revocation may be lifted again."""
        return self.reason == HOLD


@dataclass(frozen=True, slots=True)
class CrlStatus:
    """The CRL of a CA (`ca.X.crl`), or the copies that a project holds (`server.X.trust`): the one that ends first.

    An expired CRL passes every server's own check of its configuration, and then everyone is refused.
    """

    address: Address
    state: State
    number: int | None = None
    entries: int = 0
    this_update: datetime | None = None
    next_update: datetime | None = None
    detail: str = ""
    reasons: tuple[Reason, ...] = ()
    brought: bool = False
    """Whether it is signed elsewhere: nobody here can sign another."""


@dataclass(frozen=True, slots=True)
class RevokedStatus:
    """A certificate that was revoked, as the ledger has it; None for what was not issued here.

    `reach`: who refuses it and who does not, until it ends.
    """

    ca: str
    serial: str
    reason: str
    at: datetime
    issued: Issued | None
    reach: Reach | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """All that there is to be said of one moment."""

    certificates: tuple[CertificateStatus, ...]
    crls: tuple[CrlStatus, ...]
    revoked: tuple[RevokedStatus, ...]
    due_by_within: tuple[Address, ...] = ()
    """The certificates and CRLs that are due only since `within` says so: `renew` leaves them."""
    lost: tuple[Note, ...] = ()
    """What is to be said of a ledger that was lost."""
    owners: Mapping[Address, str] = field(default_factory=dict)
    """Who answers for each CA, server or client of which that is said."""
    unrecorded: tuple[Note, ...] = ()
    """What is to be said of projects that are to change, and whose records were lost."""
    ended_from_at: tuple[Address, ...] = ()
    """What has ended although a reproducible topology plans no other: everything there follows from its `at`."""

    @property
    def fine(self) -> bool:
        """Whether nothing is due, missing or worse, and no record was lost."""
        states = (*(one.state for one in self.certificates), *(one.state for one in self.crls))
        return not self.lost and all(state in FINE for state in states)


def status(planned: Planned, within: timedelta | None = None, *, clock: datetime | None = None) -> Status:
    """What is there, CAs first. `within`: what ends so soon is due whatever its own window says.

    `clock` counts instead of the plan's moment, which in a reproducible topology is no clock's. Raises StoreError.
    """
    basis = planned.basis if clock is None else replace(planned.basis, now=clock)
    desired = basis.desired
    changes = {change.address: change for change in planned.plan.changes}
    certificates = (
        *_adopted(basis, within),
        *(_status(asked, basis, changes.get(asked.address), within) for asked in desired.kept_up()),
        *(one for party in desired.parties for one in _of_party(basis, party, changes, within)),
    )
    lists = tuple(_crls(basis, changes, within))
    states = [*((one.address, one.state) for one in certificates), *((one.address, one.state) for one in lists)]
    by_within = tuple(address for address, state in states if state is State.DUE and address not in changes)
    ended = tuple(address for address, state in states if state is State.EXPIRED and address not in changes)
    return Status(
        certificates,
        lists,
        tuple(_revoked(basis)),
        by_within,
        basis.lost,
        _owners(basis.topology),
        tuple(_unrecorded(basis, changes.keys())),
        ended if basis.topology.reproducible is not None else (),
    )


def _owners(t: Topology) -> Mapping[Address, str]:
    entities: tuple[Ca | Party, ...] = (*t.cas.values(), *graph.parties(t))
    return {entity.address: entity.owner for entity in entities if entity.owner is not None}


def _unrecorded(basis: Basis, changing: Collection[Address]) -> Iterator[Note]:
    for one in basis.desired.parties:
        if address_of(one) in changing and has_lost_record(one, basis.observed):
            yield lost_record_note(one)


def _of_party(
    basis: Basis, party: DesiredParty, changes: Mapping[Address, Change], within: timedelta | None
) -> Iterator[CertificateStatus]:
    if isinstance(party.own, AdoptedCertificate):
        yield _from_elsewhere(basis, party.own, party.party.issuer, changes.get(party.own.address), within)
    for asked in party.certificates:
        yield _status(asked, basis, changes.get(asked.address), within)


def _from_elsewhere(
    basis: Basis, one: AdoptedCertificate, issuer: str, change: Change | None, within: timedelta | None
) -> CertificateStatus:
    """By the clock, the CRL of `issuer`, and who issues it: nobody here does."""
    seen = basis.observed.certificate(one.paths.certificate)
    problem = basis.brought.problems.get(one.address.entity)
    if seen.certificate is None:
        state = State.MISSING if seen.missing else State.UNREADABLE
        return CertificateStatus(one.address, state, detail=problem.message if problem else seen.problem or "")
    certificate = seen.certificate
    entry = basis.ledger.revoked.get((issuer, f"{certificate.serial_number:x}"))
    if entry is not None:
        return _withdrawn(one.address, certificate, entry)
    state = _by_clock(certificate, basis.now, within)
    if state is State.VALID and ends_soon(certificate, basis.now):
        state = State.DUE
    if (change is not None or problem is not None) and state in FINE:
        state = State.CHANGED
    detail = f"issued elsewhere, by {rfc2253(certificate.issuer)}"
    if problem is not None:
        detail = f"{detail}; its source is unusable: {problem.words}"
    described = _described(one.address, state, certificate, detail)
    return replace(described, reasons=change.reasons if change is not None else ())


def _adopted(basis: Basis, within: timedelta | None) -> Iterator[CertificateStatus]:
    for one in basis.desired.cas:
        if isinstance(one, AdoptedCa):
            certificate = basis.existing[one.ca.name].certificate
            state = _by_clock(certificate, basis.now, within)
            yield _described(one.address.with_part(Part.CERTIFICATE), state, certificate, "made elsewhere")


def _status(
    asked: DesiredCertificate, basis: Basis, change: Change | None, within: timedelta | None
) -> CertificateStatus:
    seen = basis.observed.certificate(asked.paths.certificate)
    if seen.certificate is None:
        state = State.MISSING if seen.missing else State.UNREADABLE
        return CertificateStatus(asked.address, state, detail=seen.problem or "")
    entry = basis.ledger.revoked.get((asked.ca, f"{seen.certificate.serial_number:x}"))
    if entry is not None and asked.fault is not Fault.REVOKED:
        return _withdrawn(asked.address, seen.certificate, entry)
    state = _state(asked, seen.certificate, change, basis.now, within)
    if state is State.FAULT:
        return _described(asked.address, state, seen.certificate, str(asked.fault))
    reasons = change.reasons if change is not None else ()
    return replace(_described(asked.address, state, seen.certificate, ""), reasons=reasons)


def _withdrawn(address: Address, certificate: x509.Certificate, entry: Revoked) -> CertificateStatus:
    verb = "on hold" if entry.on_hold else f"revoked: {entry.reason},"
    detail = f"{verb} since {entry.at:%Y-%m-%d %H:%M} UTC"
    described = _described(address, State.REVOKED, certificate, detail)
    return replace(described, reason=entry.reason, revoked_at=entry.at)


def _state(
    asked: DesiredCertificate,
    certificate: x509.Certificate,
    change: Change | None,
    now: datetime,
    within: timedelta | None,
) -> State:
    if asked.fault is not None and (change is None or change.work is Work.PLACE):
        return State.FAULT
    clock = _by_clock(certificate, now, None)
    if clock in (State.EXPIRED, State.NOT_YET_VALID) and asked.fault not in (Fault.EXPIRED, Fault.NOT_YET_VALID):
        return clock
    if change is None:
        return _by_clock(certificate, now, within)
    return State.DUE if change.action is Action.RENEW else State.CHANGED


def _crls(basis: Basis, changes: Mapping[Address, Change], within: timedelta | None) -> Iterator[CrlStatus]:
    desired, observed, now = basis.desired, basis.observed, basis.now
    for one in desired.cas:
        address = one.address.with_part(Part.CRL)
        if one.signs_crl:
            yield _crl_status(address, observed.content(one.paths.crl), changes.get(address), now, within)
        elif one.ca.existing is not None and one.ca.existing.crl is not None:
            there = _crl_status(address, basis.existing[one.ca.name].crls, None, now, within)
            yield replace(there, brought=True)
    for party in desired.parties:
        if needs_crls(desired.topology, party.party):
            address = party.party.address.with_part(Part.TRUST)
            change = changes.get(address)
            crl_alone = change if change is not None and party.paths.crl in change.paths else None
            yield _crl_status(address, observed.content(party.paths.crl), crl_alone, now, within)


def _crl_status(
    address: Address, content: bytes | None, change: Change | None, now: datetime, within: timedelta | None
) -> CrlStatus:
    reasons = change.reasons if change is not None else ()
    if content is None:
        return CrlStatus(address, State.MISSING, reasons=reasons)
    try:
        found = crls.load_all(content)
    except Unreadable as error:
        return CrlStatus(address, State.UNREADABLE, detail=str(error))
    # One that has not begun is refused, whatever the others say.
    first = min(found, key=lambda crl: (not crls.begins_later(crl, now), crl.next_update_utc or crl.last_update_utc))
    return CrlStatus(
        address,
        _crl_state(first, change, now, within),
        number=crls.number(first),
        entries=len(first),
        this_update=first.last_update_utc,
        next_update=first.next_update_utc,
        reasons=reasons,
    )


def _crl_state(crl: crls.Crl, change: Change | None, now: datetime, within: timedelta | None) -> State:
    ends = crl.next_update_utc
    if ends is None or ends <= now:
        return State.EXPIRED
    if crls.begins_later(crl, now):
        return State.NOT_YET_VALID
    if change is not None:
        return State.DUE if change.can_wait else State.CHANGED
    half = crls.half_of_life(crl)
    past_half = half is not None and half <= now
    return State.DUE if past_half or (within is not None and ends <= now + within) else State.VALID


def _revoked(basis: Basis) -> Iterator[RevokedStatus]:
    known, here = revoked_ever(basis.observed.layout, basis.observed.ledger), basis.ledger
    for (ca, serial), entry in {**here.revoked, **known.revoked}.items():
        issued = known.by_serial.get((ca, serial)) or here.by_serial.get((ca, serial))
        alive = issued is not None and issued.not_after > basis.now
        reached = reach(basis, issued.address, ca, serial, replaced=entry.replace) if issued and alive else None
        yield RevokedStatus(ca, serial, entry.reason, entry.at, issued, reached)


def _by_clock(certificate: x509.Certificate, now: datetime, within: timedelta | None) -> State:
    if certificate.not_valid_after_utc <= now:
        return State.EXPIRED
    if certificate.not_valid_before_utc > now:
        return State.NOT_YET_VALID
    return State.DUE if within is not None and certificate.not_valid_after_utc <= now + within else State.VALID


def _described(address: Address, state: State, certificate: x509.Certificate, detail: str) -> CertificateStatus:
    return CertificateStatus(
        address,
        state,
        serial=f"{certificate.serial_number:x}",
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        fingerprint_sha256=bundles.fingerprint(certificate),
        detail=detail,
    )
