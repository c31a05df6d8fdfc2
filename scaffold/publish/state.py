"""The publisher's picture of the output folder, kept fresh while it runs: authorities, responders, what is due."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from scaffold.errors import ScaffoldError
from scaffold.pki import issue, keys, profiles
from scaffold.pki.issue import Issuer
from scaffold.publish import authority
from scaffold.publish.authority import Authority
from scaffold.publish.responder import DELEGATION, Responder
from scaffold.store import ledger, lock
from scaffold.store.layout import Layout
from scaffold.topology.model import KeyType, Topology

LOCK_WITHIN = 30.0
"""Seconds to wait for an apply that is at work before a responder's certificate can be entered in the ledger."""

Resign = Callable[[datetime], None]
"""Signs the CRLs that are past half their life, as apply does."""


class State:
    """Everything that is published. `refresh` is called from one thread; readers take what they find."""

    def __init__(self, topology: Topology, layout: Layout, resign: Resign) -> None:
        self._topology = topology
        self._layout = layout
        self._resign = resign
        self._stamp: tuple[object, ...] | None = None
        self.authorities: Mapping[str, Authority] = {}
        self.responders: dict[str, Responder] = {}

    def refresh(self, now: datetime) -> bool:
        """Reads what has changed, and signs what is due. Whether anything was new. Raises ScaffoldError."""
        if any(_is_half_gone(one, now) for one in self.authorities.values()):
            self._resign(now)
        stamp = authority.stamp(self._topology, self._layout)
        is_new = stamp != self._stamp
        if is_new:
            self.authorities = authority.read(self._topology, self._layout)
        self._refresh_responders(now)
        self._stamp = stamp
        return is_new

    def _refresh_responders(self, now: datetime) -> None:
        for name, one in self.authorities.items():
            if one.ocsp is None or one.issuer is None:
                self.responders.pop(name, None)
                continue
            responder = self.responders.get(name)
            if responder is None or responder.is_due(now) or not responder.delegate_is_of(one):
                delegate = issue_delegate(self._layout, one, one.issuer, now)
                self.responders[name] = Responder(one, delegate, one.ocsp)
            else:
                responder.update(one)


def _is_half_gone(one: Authority, now: datetime) -> bool:
    """Whether its CRL is past half its life and we hold the key that can sign the next."""
    if one.crl is None or one.issuer is None or one.crl.next_update_utc is None:
        return False
    return now >= one.crl.last_update_utc + (one.crl.next_update_utc - one.crl.last_update_utc) / 2


def issue_delegate(layout: Layout, one: Authority, issuer: Issuer, now: datetime) -> Issuer:
    """A new OCSP responder certificate of a CA with a key of its own, entered in the ledger like every other.

    Raises PkiError where the CA has ended, Locked or StoreError where the ledger cannot be written.
    """
    key = keys.generate(KeyType.EC_P256)
    not_before, not_after = issue.validity(DELEGATION, now, issuer.not_after)
    certificate = issue.issue(
        profiles.for_responder(one.ca),
        key.public_key(),
        issuer,
        serial=issue.new_serial(),
        not_before=not_before,
        not_after=not_after,
    )
    with lock.hold(layout, now, wait=LOCK_WITHIN):
        ledger.Recorder(layout, now).issued([_entry(one, certificate)])
    return Issuer(certificate, key)


def _entry(one: Authority, certificate: x509.Certificate) -> ledger.Issued:
    return ledger.Issued(
        address=f"{one.ca.address}.ocsp",
        ca=one.name,
        serial=f"{certificate.serial_number:x}",
        subject=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        fingerprint_sha256=certificate.fingerprint(hashes.SHA256()).hex(),
    )


def refresh_or_keep(state: State, now: datetime) -> ScaffoldError | None:
    """As `State.refresh`; what went wrong is returned, the old picture stays, and the next call tries again."""
    try:
        state.refresh(now)
    except ScaffoldError as error:
        return error
    return None
