"""Delegated OCSP responder certificates (RFC 6960 4.2.2.2): short-lived, with a key that never leaves memory."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from scaffold.issuers.local import LocalIssuer
from scaffold.issuers.port import Request
from scaffold.pki import keys, profiles
from scaffold.pki.issue import Issuer
from scaffold.pki.randomness import OPERATING_SYSTEM, Randomness
from scaffold.publish.authority import Authority
from scaffold.store import ledger, lock
from scaffold.store.issued import entry
from scaffold.store.layout import Layout
from scaffold.topology.address import Address, Part
from scaffold.topology.generations import FIRST
from scaffold.topology.model import Ca, KeyType

LIFETIME: Final = timedelta(days=7)
"""How long a responder's certificate lives; RFC 6960 4.2.2.2.1 wants it short, as nobody can revoke it."""


def make(
    ca: Ca,
    issuer: Issuer,
    now: datetime,
    lifetime: timedelta = LIFETIME,
    *,
    generation: int = FIRST,
    randomness: Randomness = OPERATING_SYSTEM,
) -> Issuer:
    """A responder of a generation of `ca`, with a key of its own. Raises PkiError where the CA has ended.

    P-256 below an ML-DSA CA too: an answer is believed for hours, and who could forge it in years is too late.
    """
    whose = f"{Address.ca(ca.name, generation=generation)} OCSP responder, {now:%Y-%m-%dT%H:%M:%S}"
    key = randomness.key(whose, KeyType.EC_P256)
    request = Request(whose, profiles.for_responder(ca, generation), key.public_key(), lifetime, now)
    return Issuer(LocalIssuer(issuer, (), randomness).issue(request).certificate, key)


def make_and_record(layout: Layout, of: Authority, issuer: Issuer, now: datetime, randomness: Randomness) -> Issuer:
    """The same, entered in the ledger before it answers anything. Raises Locked while an apply is at work."""
    with lock.hold(layout, now):
        delegate = make(of.ca, issuer, now, generation=of.generation or FIRST, randomness=randomness)
        address, key = of.address.with_part(Part.OCSP), keys.spki_sha256(issuer.certificate)
        ledger.Recorder(layout, now).issued([entry(address, of.ca.name, delegate.certificate, key)])
    return delegate


def is_due(delegate: Issuer, issuer: Issuer, now: datetime) -> bool:
    """Whether it has not begun (the clock was put back), or half of its life is over and a new one would live longer.

    What ends with its CA stays until then.
    """
    begins, ends = delegate.certificate.not_valid_before_utc, delegate.not_after
    return now < begins or (now >= begins + (ends - begins) / 2 and ends < issuer.not_after)
