"""Every certificate against the clock: what `scaffold status` shows."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from scaffold.plan.desired import Desired, DesiredCertificate, desire
from scaffold.plan.model import Action, Change, Plan, Work
from scaffold.store import existing
from scaffold.store.layout import Layout
from scaffold.store.observation import Observation
from scaffold.topology.model import Fault, Topology


class State(enum.StrEnum):
    """How a certificate stands, from the best to the worst."""

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

    address: str
    state: State
    serial: str | None = None
    not_before: datetime | None = None
    not_after: datetime | None = None
    fingerprint_sha256: str | None = None
    detail: str = ""


def status(
    t: Topology, layout: Layout, plan: Plan, now: datetime, within: timedelta | None = None
) -> tuple[CertificateStatus, ...]:
    """The certificates of `t`, CAs first. `within`: what ends so soon is due whatever its own window says.

    Raises StoreError, TopologyError.
    """
    observed = Observation(layout)
    desired = desire(t)
    changes = {change.address: change for change in plan.changes if change.address.endswith("certificate")}
    return (
        *_adopted(t, desired, now, within),
        *(_status(asked, observed, changes.get(asked.address), now, within) for asked in _asked(desired)),
    )


def _asked(desired: Desired) -> Iterator[DesiredCertificate]:
    yield from (one.certificate for one in desired.cas if one.certificate is not None)
    for party in desired.parties:
        yield from party.certificates


def _adopted(t: Topology, desired: Desired, now: datetime, within: timedelta | None) -> Iterator[CertificateStatus]:
    for one in desired.cas:
        if one.certificate is None:
            certificate = existing.load(t, one.ca).certificate
            state = _by_clock(certificate, now, within)
            yield _described(f"{one.ca.address}.certificate", state, certificate, "made elsewhere")


def _status(
    asked: DesiredCertificate, observed: Observation, change: Change | None, now: datetime, within: timedelta | None
) -> CertificateStatus:
    seen = observed.certificate(asked.paths.certificate)
    if seen.certificate is None:
        state = State.MISSING if seen.missing else State.UNREADABLE
        return CertificateStatus(asked.address, state, detail=seen.problem or "")
    state, detail = _state(asked, seen.certificate, change, now, within)
    return _described(asked.address, state, seen.certificate, detail)


def _state(
    asked: DesiredCertificate,
    certificate: x509.Certificate,
    change: Change | None,
    now: datetime,
    within: timedelta | None,
) -> tuple[State, str]:
    detail = "; ".join(reason.message for reason in change.reasons) if change is not None else ""
    codes = {reason.code for reason in change.reasons} if change is not None else set()
    if "revoked" in codes:
        return State.REVOKED, detail
    if asked.fault is not None and (change is None or change.work is Work.PLACE):
        return State.FAULT, str(asked.fault)
    clock = _by_clock(certificate, now, None)
    if clock in (State.EXPIRED, State.NOT_YET_VALID) and asked.fault not in (Fault.EXPIRED, Fault.NOT_YET_VALID):
        return clock, detail
    if change is None:
        return _by_clock(certificate, now, within), ""
    return (State.DUE if change.action is Action.RENEW else State.CHANGED), detail


def _by_clock(certificate: x509.Certificate, now: datetime, within: timedelta | None) -> State:
    if certificate.not_valid_after_utc <= now:
        return State.EXPIRED
    if certificate.not_valid_before_utc > now:
        return State.NOT_YET_VALID
    return State.DUE if within is not None and certificate.not_valid_after_utc <= now + within else State.VALID


def _described(address: str, state: State, certificate: x509.Certificate, detail: str) -> CertificateStatus:
    return CertificateStatus(
        address,
        state,
        serial=f"{certificate.serial_number:x}",
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        fingerprint_sha256=certificate.fingerprint(SHA256()).hex(),
        detail=detail,
    )
