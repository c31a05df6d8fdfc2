"""Every certificate of the topology against the clock: when it ends, and what the plan has to say of it."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from scaffold.plan.desired import DesiredCertificate, desire
from scaffold.plan.model import Action, Change, Plan
from scaffold.store import existing
from scaffold.store.layout import Layout
from scaffold.store.observation import Observation
from scaffold.topology.model import Ca, Topology


class State(enum.StrEnum):
    """How a certificate stands today."""

    VALID = "valid"
    DUE = "due"
    """Inside its renewal window, or ending within the time that was asked for."""
    CHANGED = "changed"
    """Valid, but no longer what the topology says: plan says why."""
    EXPIRED = "expired"
    NOT_YET_VALID = "not-yet-valid"
    FAULT = "fault"
    """Broken on purpose, as the topology says."""
    UNREADABLE = "unreadable"
    MISSING = "missing"


FINE = frozenset({State.VALID, State.FAULT})
"""The states in which nothing is due."""


@dataclass(frozen=True, slots=True)
class CertificateStatus:
    """One certificate. What is missing or unreadable has no serial (hex), no dates and no fingerprint (hex)."""

    address: str
    state: State
    detail: str = ""
    serial: str | None = None
    not_before: datetime | None = None
    not_after: datetime | None = None
    fingerprint_sha256: str | None = None


def status(
    t: Topology, layout: Layout, plan: Plan, now: datetime, within: timedelta | None
) -> tuple[CertificateStatus, ...]:
    """The state of each certificate, CAs first; `within` takes the place of each one's own renewal window."""
    observation = Observation(layout)
    changes = {change.address: change for change in plan.changes}
    desired = desire(t)
    certificates: list[CertificateStatus] = []
    for ca in desired.cas:
        if ca.certificate is None:
            certificates.append(_adopted(t, ca.ca, now, within))
        else:
            certificates.append(_status(ca.certificate, observation, changes, now, within))
    for party in desired.parties:
        certificates += (_status(wanted, observation, changes, now, within) for wanted in party.certificates)
    return tuple(certificates)


def _adopted(t: Topology, ca: Ca, now: datetime, within: timedelta | None) -> CertificateStatus:
    """The certificate of a CA that was made elsewhere, which nobody renews here."""
    certificate = existing.load(t, ca).certificate
    return _of(f"{ca.address}.certificate", certificate, _by_the_clock(certificate, now, within), "adopted")


def _status(
    wanted: DesiredCertificate,
    observation: Observation,
    changes: Mapping[str, Change],
    now: datetime,
    within: timedelta | None,
) -> CertificateStatus:
    seen = observation.certificate(wanted.paths.certificate)
    if seen.certificate is None:
        state = State.MISSING if seen.missing else State.UNREADABLE
        return CertificateStatus(wanted.address, state, seen.problem or "")
    certificate = seen.certificate
    change = changes.get(wanted.address)
    state = _state(certificate, wanted, change, now, within)
    return _of(wanted.address, certificate, state, _detail(state, wanted, change))


def _of(address: str, certificate: x509.Certificate, state: State, detail: str) -> CertificateStatus:
    return CertificateStatus(
        address,
        state,
        detail,
        f"{certificate.serial_number:x}",
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
        certificate.fingerprint(hashes.SHA256()).hex(),
    )


def _state(
    certificate: x509.Certificate,
    wanted: DesiredCertificate,
    change: Change | None,
    now: datetime,
    within: timedelta | None,
) -> State:
    if change is not None and change.action is not Action.RENEW:
        return State.CHANGED
    if wanted.fault is not None and change is None:
        return State.FAULT
    state = _by_the_clock(certificate, now, within)
    return State.DUE if within is None and change is not None and state is State.VALID else state


def _by_the_clock(certificate: x509.Certificate, now: datetime, within: timedelta | None) -> State:
    if certificate.not_valid_after_utc <= now:
        return State.EXPIRED
    if certificate.not_valid_before_utc > now:
        return State.NOT_YET_VALID
    if within is not None and certificate.not_valid_after_utc - now <= within:
        return State.DUE
    return State.VALID


def _detail(state: State, wanted: DesiredCertificate, change: Change | None) -> str:
    if state is State.FAULT:
        return str(wanted.fault)
    return "" if change is None else change.reasons[0].message
